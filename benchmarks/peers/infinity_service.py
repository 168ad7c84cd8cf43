"""infinity's command line, beside a torch that torchvision's wheel was not compiled for."""

import torchvision_without_kernels  # noqa: F401  # first

from infinity_emb.cli import cli  # isort: skip

cli()
