"""Models as the two exporters of PyTorch write them, with random weights: python export.py folder

For test/bench/optimize.js. torch 2.13, transformers, onnx; nothing is downloaded.
"""

import sys
import warnings
from pathlib import Path

import torch
from torch import nn

warnings.filterwarnings("ignore")
out = Path(sys.argv[1])
out.mkdir(parents=True, exist_ok=True)
torch.manual_seed(0)


class Residual(nn.Module):
    """ResNet-18 without its head's pooling tricks: basic blocks, norms with statistics of their own."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 64, 7, 2, 3, bias=False), nn.BatchNorm2d(64), nn.ReLU(), nn.MaxPool2d(3, 2, 1))
        blocks, width = [], 64
        for channels, stride in [(64, 1), (64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2), (512, 1)]:
            blocks.append(Block(width, channels, stride))
            width = channels
        self.blocks = nn.Sequential(*blocks)
        self.head = nn.Linear(512, 1000)

    def forward(self, x):
        return self.head(self.blocks(self.stem(x)).mean((2, 3)))


class Block(nn.Module):
    def __init__(self, a, b, stride):
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(a, b, 3, stride, 1, bias=False), nn.BatchNorm2d(b), nn.ReLU(),
            nn.Conv2d(b, b, 3, 1, 1, bias=False), nn.BatchNorm2d(b),
        )
        self.side = nn.Identity() if a == b and stride == 1 else nn.Sequential(nn.Conv2d(a, b, 1, stride, bias=False), nn.BatchNorm2d(b))

    def forward(self, x):
        return torch.relu(self.body(x) + self.side(x))


class Mobile(nn.Module):
    """Inverted residuals with depthwise convolutions and hard activations, as MobileNetV3 has them."""

    def __init__(self):
        super().__init__()
        layers, width = [nn.Conv2d(3, 16, 3, 2, 1, bias=False), nn.BatchNorm2d(16), nn.Hardswish()], 16
        for channels, stride in [(24, 2), (24, 1), (40, 2), (40, 1), (80, 2), (80, 1), (112, 1), (160, 2), (160, 1)]:
            inner = 4 * width
            layers += [
                nn.Conv2d(width, inner, 1, bias=False), nn.BatchNorm2d(inner), nn.Hardswish(),
                nn.ZeroPad2d(1), nn.Conv2d(inner, inner, 3, stride, 0, groups=inner, bias=False), nn.BatchNorm2d(inner), nn.Hardswish(),
                nn.Conv2d(inner, channels, 1, bias=False), nn.BatchNorm2d(channels),
            ]
            width = channels
        self.body = nn.Sequential(*layers)
        self.head = nn.Linear(width, 1000)

    def forward(self, x):
        return self.head(self.body(x).mean((2, 3)))


def settle(model, *inputs):
    """Norms get statistics that are not those of a new layer."""
    model.train()
    with torch.no_grad():
        for _ in range(3):
            model(*inputs)
    return model.eval()


class Plain(nn.Module):
    """A transformer of the library, its first output alone."""

    def __init__(self, model, **fixed):
        super().__init__()
        self.model, self.fixed = model, fixed

    def forward(self, *inputs):
        return self.model(*inputs, return_dict=False, **self.fixed)[0]


def transformers():
    import transformers as t

    small = dict(hidden_size=256, num_hidden_layers=4, num_attention_heads=4, intermediate_size=1024)
    ids = torch.randint(0, 1000, (1, 64))
    mask = torch.ones(1, 64, dtype=torch.int64)
    bert = t.BertModel(t.BertConfig(vocab_size=1000, **small)).eval()
    yield "bert", Plain(bert), (ids, mask), ["input_ids", "attention_mask"]
    gpt = t.GPT2Model(t.GPT2Config(vocab_size=1000, n_embd=256, n_layer=4, n_head=4)).eval()
    yield "gpt2", Plain(gpt, use_cache=False), (ids,), ["input_ids"]
    vit = t.ViTModel(t.ViTConfig(image_size=96, patch_size=16, **small)).eval()
    yield "vit", Plain(vit), (torch.randn(1, 3, 96, 96),), ["pixel_values"]
    t5 = t.T5EncoderModel(t.T5Config(vocab_size=1000, d_model=256, d_ff=1024, num_layers=4, num_heads=4, d_kv=64)).eval()
    yield "t5-encoder", Plain(t5), (ids, mask), ["input_ids", "attention_mask"]
    llama = t.LlamaModel(t.LlamaConfig(vocab_size=1000, num_key_value_heads=2, **small)).eval()
    yield "llama", Plain(llama, use_cache=False), (ids,), ["input_ids"]


def models():
    image = torch.randn(1, 3, 128, 128)
    yield "resnet", settle(Residual(), torch.randn(4, 3, 64, 64)), (image,), ["x"]
    yield "mobile", settle(Mobile(), torch.randn(4, 3, 64, 64)), (image,), ["x"]
    yield from transformers()


for name, model, inputs, names in models():
    for kind, options in {
        "ts": dict(dynamo=False, opset_version=17, do_constant_folding=False, training=torch.onnx.TrainingMode.PRESERVE),
        "dynamo": dict(dynamo=True, opset_version=20, optimize=False, external_data=False),
    }.items():
        path = out / f"{name}.{kind}.onnx"
        try:
            torch.onnx.export(model, inputs, str(path), input_names=names, output_names=["y"], **options)
        except Exception as error:  # an exporter that cannot take a model is no failure of the bench
            print(path.name, "not exported:", str(error).splitlines()[0][:120], file=sys.stderr)
