"""torch's pruning of a safetensors file, as mlser's benchmarks run it: one job a call. Needs torch and safetensors."""
import sys

import torch
from safetensors.torch import load_file, save_file
from torch.nn.utils import prune

job, src, dst = sys.argv[1:4]
share = float(sys.argv[4]) if len(sys.argv) > 4 else 0.5
tensors = load_file(src)
# What mlser prunes where no graph says what is multiplied: matrices that are no tables.
chosen = [name for name, tensor in tensors.items() if tensor.dim() > 1 and "embed" not in name]


class Holder(torch.nn.Module):
    """torch.nn.utils.prune works on parameters of modules."""

    def __init__(self, weight):
        super().__init__()
        self.weight = torch.nn.Parameter(weight, requires_grad=False)


if job == "global":
    holders = {name: Holder(tensors.pop(name)) for name in chosen}
    pairs = [(holder, "weight") for holder in holders.values()]
    prune.global_unstructured(pairs, prune.L1Unstructured, amount=share)
    for name, holder in holders.items():
        prune.remove(holder, "weight")
        tensors[name] = holder.weight.detach()
elif job == "global-lean":
    # Not what a user of torch.nn.utils.prune gets: the fewest copies that we know of.
    flat = torch.cat([tensors[name].abs().flatten() for name in chosen])
    limit = flat.kthvalue(round(flat.numel() * share)).values
    del flat
    for name in chosen:
        tensors[name].masked_fill_(tensors[name].abs() <= limit, 0)
elif job == "2:4":
    # torch.nn.utils.prune has no n:m; the lines that everyone writes.
    for name in chosen:
        groups = tensors[name].view(-1, 4)
        groups.scatter_(1, groups.abs().topk(2, dim=1, largest=False).indices, 0)
else:
    raise SystemExit(f"no job {job}")
save_file(tensors, dst)
