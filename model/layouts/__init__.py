"""How the families of CLIP name their tensors: one table for reading a checkpoint and for writing one.

`huggingface` is transformers' CLIPModel, SiglipModel and Siglip2Model; `openai` is OpenAI's CLIP, which open_clip
kept; `timm` is the image tower of open_clip's SigLIP.
"""
