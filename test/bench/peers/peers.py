"""The peers that the benchmarks run beside mlser: one job a call. Needs torch, safetensors, onnx, numpy."""
import sys

job, src, dst = (sys.argv[1:] + [None, None])[:3]

if job == "inspect-pt":
    import torch
    state = torch.load(src, mmap=True, weights_only=True)
    print(len(state), sum(t.numel() for t in state.values()))
elif job == "inspect-safetensors":
    from safetensors import safe_open
    with safe_open(src, framework="np") as f:
        print(len([f.get_slice(k).get_shape() for k in f.keys()]))
elif job == "inspect-onnx":
    import onnx
    print(len(onnx.load(src).graph.initializer))
elif job == "inspect-npz":
    import numpy as np
    with np.load(src, mmap_mode="r") as z:
        print(sum(z[k].size for k in z.files))
elif job == "stats":
    import torch
    from safetensors.torch import load_file
    for name, t in load_file(src).items():
        t = t.float()
        (t.min().item(), t.max().item(), t.mean().item(), t.std().item(), (t == 0).sum().item(), torch.isfinite(t).all().item())
elif job == "stats-same":
    # All that `inspect --stats` tells: of a large tensor different values only where a sample says that there are few.
    import torch
    from safetensors.torch import load_file
    for name, t in load_file(src).items():
        t = t.float().flatten()
        bits = t.view(torch.int32)
        distinct = bits[: 1 << 17].unique().numel()
        if t.numel() > 1 << 17 and distinct <= 65536:
            distinct = bits.unique().numel()
        shares = torch.bincount((bits >> 23) & 255, minlength=256).double() / t.numel()
        entropy = -torch.special.xlogy(shares, shares).sum().item()
        (t.min().item(), t.max().item(), t.mean().item(), t.std().item(), (t == 0).sum().item(), torch.isnan(t).sum().item(), torch.isinf(t).sum().item(), distinct, entropy)
elif job == "pt-safetensors":
    import torch
    from safetensors.torch import save_file
    save_file(torch.load(src, weights_only=True), dst)
elif job == "pt-safetensors-mmap":
    import torch
    from safetensors.torch import save_file
    save_file(torch.load(src, mmap=True, weights_only=True), dst)
elif job == "safetensors-pt":
    import torch
    from safetensors.torch import load_file
    torch.save(load_file(src), dst)
elif job == "cast-bf16":
    import torch
    from safetensors.torch import load_file, save_file
    save_file({k: v.to(torch.bfloat16) for k, v in load_file(src).items()}, dst)
elif job == "cast-f16":
    import torch
    from safetensors.torch import load_file, save_file
    save_file({k: v.to(torch.float16) for k, v in load_file(src).items()}, dst)
elif job == "onnx-external":
    import onnx
    onnx.save(onnx.load(src), dst, save_as_external_data=True, location=dst.split("/")[-1] + ".data")
elif job == "onnx-inline":
    import onnx
    onnx.save(onnx.load(src), dst)
elif job == "equal":
    import torch
    from safetensors.torch import load_file
    a, b = load_file(src), load_file(dst)
    print(all(torch.equal(a[k], b[k]) for k in a))
elif job == "hash":
    import hashlib
    from safetensors import safe_open
    with safe_open(src, framework="np") as f:
        for k in f.keys():
            hashlib.sha256(f.get_tensor(k)).hexdigest()
else:
    sys.exit(f"no job {job}")
