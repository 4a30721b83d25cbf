"""torch's own pruning, as mlser's benchmarks run it: one job a call, on a safetensors file. Needs torch, safetensors."""
import sys

import torch
from safetensors.torch import load_file, save_file
from torch.nn.utils import prune

job, src, dst = sys.argv[1:4]


class Holder(torch.nn.Module):
    """torch.nn.utils.prune works on parameters of modules: one for every matrix."""

    def __init__(self, weight):
        super().__init__()
        self.weight = torch.nn.Parameter(weight, requires_grad=False)


tensors = load_file(src)
# What `mlser prune` chooses where no graph says what is multiplied: matrices that are no tables.
chosen = [name for name, tensor in tensors.items() if tensor.dim() > 1 and "embed" not in name]
holders = {name: Holder(tensors[name]) for name in chosen}
if job.startswith("global"):
    pairs = [(holder, "weight") for holder in holders.values()]
    prune.global_unstructured(pairs, prune.L1Unstructured, amount=float(job.split("-")[1]))
elif job.startswith("tensor"):
    for holder in holders.values():
        prune.l1_unstructured(holder, "weight", float(job.split("-")[1]))
else:
    # 2 of 4 along the inputs. torch has no function that makes such masks: the usual lines do.
    for holder in holders.values():
        weight = holder.weight
        groups = weight.abs().reshape(-1, 4)
        mask = torch.zeros_like(groups).scatter_(1, groups.topk(2, dim=1).indices, 1)
        prune.custom_from_mask(holder, "weight", mask.reshape(weight.shape))
for name, holder in holders.items():
    prune.remove(holder, "weight")
    tensors[name] = holder.weight.detach()
save_file(tensors, dst)
