"""The figures of docs/model.md, drawn from forward passes of trained models: `python -m benchmarks.figures`."""
