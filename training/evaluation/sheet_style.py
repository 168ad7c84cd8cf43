"""How the contact sheet looks: a style sheet that stands in the page, for light and dark screens, wide and narrow."""

STYLE = """
:root {
  color-scheme: light dark;
  --page: #faf9f7; --surface: #fff; --ink: #1c1d20; --muted: #65676d; --line: #e2dfd9;
  --right: #0b7f5c; --right-veil: #0b7f5c1a; --wrong: #b3402f; --bar: #d9d4cb; --paper: #fff;
  --shadow: 0 1px 2px rgb(40 30 20 / 6%), 0 6px 20px rgb(40 30 20 / 6%);
}
@media (prefers-color-scheme: dark) {
  :root {
    --page: #141312; --surface: #1f1d1b; --ink: #eeebe6; --muted: #a5a09a; --line: #36322e;
    --right: #4fd1a5; --right-veil: #4fd1a526; --wrong: #ff8a78; --bar: #48423c; --paper: #f4f1ec;
    --shadow: 0 1px 2px rgb(0 0 0 / 40%), 0 6px 20px rgb(0 0 0 / 30%);
  }
}
*, ::before, ::after { box-sizing: border-box; }
html { scroll-padding-top: 24px; -webkit-text-size-adjust: 100%; }
body {
  margin: 0 auto; max-width: 1480px; padding: 28px clamp(14px, 3vw, 40px) 64px; background: var(--page);
  color: var(--ink); font: 15px/1.45 system-ui, -apple-system, "Segoe UI", Roboto, sans-serif;
}
h1, h2, h3, h4, h5, p, ol, figure { margin: 0; padding: 0; }
h1, h2 { font-weight: 680; letter-spacing: -.02em; }
h1 { font-size: 1.7rem; }
h2 { font-size: 1.35rem; }
h3 { font-size: 1.05rem; font-weight: 650; }
h4 { margin: 18px 0 10px; color: var(--muted); font-size: .8125rem; font-weight: 600; }
h5 { font-size: .9375rem; font-weight: 600; overflow-wrap: anywhere; }
.muted, body > header p { color: var(--muted); }
nav { display: flex; flex-wrap: wrap; gap: 8px; margin-top: 16px; }
nav a {
  padding: 5px 14px; border: 1px solid var(--line); border-radius: 20px; background: var(--surface); color: var(--ink);
  font-size: .875rem; font-weight: 550; text-decoration: none;
}
nav a:hover, nav a:focus-visible { border-color: var(--right); outline: none; }
.key { display: inline-flex; align-items: center; gap: 6px; margin-left: 10px; font-size: .8125rem; }
.key::before { content: ""; width: 14px; height: 14px; border: 2px solid var(--line); border-radius: 5px; }
.key.right::before { border-color: var(--right); background: var(--right-veil); }
section { margin-top: 44px; padding-top: 28px; border-top: 1px solid var(--line); }
.direction { display: flex; flex-wrap: wrap; align-items: baseline; gap: 4px 18px; margin-top: 26px; }
.direction p { color: var(--muted); font-size: .875rem; font-variant-numeric: tabular-nums; }
.direction b { margin-right: 8px; color: var(--ink); font-weight: 600; }
.wide, .narrow { display: grid; gap: 14px; }
.wide { grid-template-columns: repeat(auto-fill, minmax(min(100%, 440px), 1fr)); }
.narrow { grid-template-columns: repeat(auto-fill, minmax(min(100%, 320px), 1fr)); }
article { min-width: 0; padding: 13px 15px 15px; background: var(--surface); border-radius: 14px;
  box-shadow: var(--shadow); }
article header { display: flex; align-items: baseline; justify-content: space-between; gap: 12px; margin-bottom: 11px; }
.rank { flex: none; color: var(--wrong); font-size: .8125rem; font-weight: 600; font-variant-numeric: tabular-nums; }
.rank[data-first] { color: var(--right); }
.tiles { display: grid; grid-template-columns: repeat(7, minmax(0, 1fr)); gap: 7px; }
.wanted { padding-left: 7px; border-left: 1px dashed var(--line); }
img { display: block; width: 100%; aspect-ratio: 1; padding: 7%; object-fit: contain; background: var(--paper);
  border-radius: 9px; box-shadow: 0 0 0 1px var(--line); }
.tiles .right img { box-shadow: 0 0 0 2px var(--right); }
figcaption { margin-top: 5px; overflow: hidden; color: var(--muted); font-size: .6875rem; line-height: 1.3;
  text-overflow: ellipsis; white-space: nowrap; }
.right figcaption { color: var(--right); }
small { display: block; font-size: .6875rem; font-variant-numeric: tabular-nums; opacity: .85; }
.read { display: grid; grid-template-columns: 84px minmax(0, 1fr); gap: 14px; }
.read .muted { margin-top: 5px; font-size: .6875rem; }
ol { display: grid; align-content: start; gap: 3px; list-style: none; font-size: .8125rem; }
li { display: grid; grid-template-columns: minmax(0, 1fr) 46px 2.4em; align-items: center; gap: 8px;
  color: var(--muted); }
li span { overflow: hidden; text-overflow: ellipsis; white-space: nowrap; }
li i { height: 5px; border-radius: 3px;
  background: linear-gradient(to right, currentColor calc(var(--part) * 100%), var(--bar) 0); }
li small { text-align: right; }
li.right { color: var(--right); font-weight: 600; }
@media (max-width: 520px) {
  .tiles { grid-template-columns: repeat(4, minmax(0, 1fr)); }
  .wanted { padding-left: 0; border: 0; }
}
"""
