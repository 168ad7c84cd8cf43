"""Model folders made into those of other programs: `python -m model export --format huggingface | open_clip`.

What a format has no words for is an ExportError that says so; nothing is approximated.
"""
