// The key that a service may ask for. It stays in this browser and goes with every request.

const NAME = "parallax-key";

let key = "";
try {
  key = localStorage.getItem(NAME) ?? "";
} catch {
  // storage is switched off: the key lasts as long as the page
}

export const hasKey = () => Boolean(key);

export const headers = () => (key ? { Authorization: `Bearer ${key}` } : {});

// An address of the service, in full. Where the page was opened as http://user:KEY@host/, one that is relative would
// have user and key in it too, and browsers fetch none that has.
export const whole = (address) => new URL(address, location.href);

export function setKey(value) {
  key = value;
  try {
    if (key) localStorage.setItem(NAME, key);
    else localStorage.removeItem(NAME);
  } catch {
    // as above
  }
}

// ── Pictures: an <img> sends no key, so with one their bytes are fetched, when they come into view, and handed over.

const wanted = new WeakMap(); // image → {address, done}
const nearby = new IntersectionObserver(
  (entries) => {
    for (const { target } of entries.filter(({ isIntersecting }) => isIntersecting)) {
      nearby.unobserve(target);
      load(target, wanted.get(target));
    }
  },
  { rootMargin: "600px" },
);

async function load(image, { address, done }) {
  const response = await fetch(whole(address), { headers: headers() }).catch(() => null);
  const url = response?.ok ? URL.createObjectURL(await response.blob()) : "";
  if (wanted.get(image).address !== address) URL.revokeObjectURL(url); // it shows another picture by now
  else if (!url) image.dispatchEvent(new Event("error"));
  else {
    image.src = url;
    if (done) done(url);
    else image.addEventListener("load", () => URL.revokeObjectURL(url), { once: true });
  }
}

// Shows the picture at an address. `done` is told where its bytes can be had without a key, for as long as the page is.
export function draw(image, address, done) {
  nearby.unobserve(image);
  wanted.set(image, { address, done });
  if (key && !address.startsWith("blob:")) return nearby.observe(image);
  image.src = address;
  done?.(address);
}
