"""Makes the checkpoints of this folder with PyTorch and NumPy: python3 test/golden/torch/make.py

Each .json beside a file says what its tensors hold, as torch shows them: shape, dtype, and the values row-major."""
import collections
import json
import pathlib

import numpy
import torch

here = pathlib.Path(__file__).parent
torch.manual_seed(7)


def described(tensors):
    # Exactly, as float64, whatever the dtype; complex numbers are only named.
    return {
        name: {
            "shape": list(tensor.shape),
            "dtype": str(tensor.dtype).replace("torch.", ""),
            "values": [] if tensor.is_complex() else tensor.detach().double().reshape(-1).tolist(),
        }
        for name, tensor in tensors.items()
    }


def save(name, value, tensors, **options):
    torch.save(value, here / name, **options)
    (here / f"{name}.json").write_text(json.dumps(described(tensors)) + "\n")


# Every kind of view and dtype, in two layers of dictionaries and lists.
base = torch.randn(4, 6)
half = torch.randn(3, 5).half()
flat = torch.randn(24)
views = {
    "base": base,
    "transposed": base.t(),
    "row": base[2],
    "column": base[:, 1],
    "stepped": base[::2, 1::2],
    "expanded": base[0, 0].expand(3, 2),
    "permuted": flat.view(2, 3, 4).permute(2, 0, 1),
    "slice": flat[5:11],
    "scalar": torch.tensor(2.5),
    "empty": torch.zeros(0, 3),
    "one": torch.full((1, 1, 1), -3.0),
}
dtypes = {
    "half": half,
    "half_column": half[:, 2],
    "bfloat16": torch.randn(2, 3).bfloat16(),
    "bfloat16_t": torch.randn(2, 3).bfloat16().t(),
    "double": torch.randn(2, 2, dtype=torch.float64),
    "double_t": torch.randn(2, 3, dtype=torch.float64).t(),
    "int64": torch.arange(5),
    "int32": torch.arange(3, dtype=torch.int32),
    "int16": torch.arange(3, dtype=torch.int16),
    "int8": torch.arange(-1, 2, dtype=torch.int8),
    "uint8": torch.arange(3, dtype=torch.uint8),
    "bool": torch.tensor([True, False]),
    "complex": torch.tensor([1 + 2j]),
    "special": torch.tensor([float("nan"), float("inf"), -0.0, 1e-45]),
}
checkpoint = {
    "views": collections.OrderedDict(views),
    "dtypes": dtypes,
    "list": [torch.ones(2), (torch.zeros(1), "text")],
    3: {"parameter": torch.nn.Parameter(torch.tensor([1.0, 2.0]))},
    "epoch": 12,
    "big": 2**80,
    "rate": 1e-4,
    "name": "größe",
    "flags": [True, False, None],
    "size": torch.Size([2, 3]),
    "bytes": b"\x00\xff",
    "dtype": torch.float16,
    "device": torch.device("cpu"),
    "betas": (0.8, 0.99),
    "names": {"a"},
    "nothing": b"",
}
tensors = {f"views.{name}": tensor for name, tensor in views.items()}
tensors |= {f"dtypes.{name}": tensor for name, tensor in dtypes.items()}
tensors |= {"list.0": checkpoint["list"][0], "list.1.0": checkpoint["list"][1][0], "3.parameter": checkpoint[3]["parameter"]}
for protocol in (2, 3, 4, 5):
    torch.save(checkpoint, here / f"everything-{protocol}.pt", pickle_protocol=protocol)
save("everything.pth", checkpoint, tensors)
save("legacy.pth", checkpoint, tensors, _use_new_zipfile_serialization=False)
# A parameter with an attribute of its own, and a tensor with one.
with_state = torch.nn.Parameter(torch.tensor([5.0]))
tagged = torch.tensor([6.0])
tagged.tag = "x"
save("attributes.pt", {"parameter": with_state, "tensor": tagged}, {"parameter": with_state, "tensor": tagged})
save("tensor.pt", base.t(), {"tensor": base.t()})


# A module's state dict (it carries _metadata), as training scripts save it: the two spellings of weight norm.
def small():
    return torch.nn.Sequential(
        torch.nn.utils.weight_norm(torch.nn.Conv1d(3, 4, 3, padding=1)),
        torch.nn.LeakyReLU(0.1),
        torch.nn.utils.weight_norm(torch.nn.ConvTranspose1d(4, 2, 4, stride=2, padding=1, groups=2)),
    )


model = small()
x = torch.randn(1, 3, 5)
optimizer = torch.optim.AdamW(model.parameters(), 2e-4, betas=[0.8, 0.99])
model(x).square().mean().backward()
optimizer.step()
state = {"generator": model.state_dict()}
save("g_00000010", state, {f"generator.{name}": tensor for name, tensor in state["generator"].items()})
torch.save({"optim_g": optimizer.state_dict(), "steps": 10, "epoch": 1}, here / "do_00000010")
y = model(x).detach()
(here / "g_00000010.io.json").write_text(json.dumps(described({"x": x, "y": y})) + "\n")
torch.jit.save(torch.jit.trace(torch.nn.Linear(1, 1), torch.zeros(1, 1)), here / "script.pt")

# A generator as HiFi-GAN's own training saves it (torch 1.4 in its old format) beside vocoder/config.json, and with a discriminator in one file.
def vocoder():
    norm = torch.nn.utils.weight_norm
    model = torch.nn.Module()
    model.conv_pre = norm(torch.nn.Conv1d(4, 8, 7, padding=3))
    model.ups = torch.nn.ModuleList([norm(torch.nn.ConvTranspose1d(8, 4, 8, 4, padding=2)), norm(torch.nn.ConvTranspose1d(4, 2, 4, 2, padding=1))])
    model.resblocks = torch.nn.ModuleList()
    for channels in (4, 2):
        block = torch.nn.Module()
        block.convs = torch.nn.ModuleList([norm(torch.nn.Conv1d(channels, channels, 3, dilation=d, padding=d)) for d in (1, 2)])
        model.resblocks.append(block)
    model.conv_post = norm(torch.nn.Conv1d(2, 1, 7, padding=3))
    return model


def speak(model, x):
    leaky = torch.nn.functional.leaky_relu
    x = model.conv_pre(x)
    for up, block in zip(model.ups, model.resblocks):
        x = up(leaky(x, 0.1))
        for conv in block.convs:
            x = conv(leaky(x, 0.1)) + x
    return torch.tanh(model.conv_post(leaky(x)))


generator = vocoder()
mel = torch.randn(1, 4, 6)
save("vocoder.json", None, {"mel": mel, "samples": speak(generator, mel)})
(here / "vocoder.json").unlink()
(here / "vocoder.json.json").rename(here / "vocoder.json")
torch.save({"generator": generator.state_dict()}, here / "vocoder" / "g_02500000", _use_new_zipfile_serialization=False)
both = {"epoch": 3, "state_dict": {f"generator.{k}": v for k, v in generator.state_dict().items()} | {"discriminator.conv.weight": torch.ones(1, 1, 5)}}
torch.save(both, here / "lightning.ckpt")

# NumPy's archives, stored and compressed.
arrays = {
    "float32": numpy.arange(6, dtype="<f4").reshape(2, 3) / 3,
    "float16": numpy.arange(3, dtype="<f2") / 3,
    "float64": numpy.arange(4, dtype="<f8") / 3,
    "fortran": numpy.asfortranarray(numpy.arange(24, dtype="<f4").reshape(2, 3, 4)),
    "big": numpy.arange(4, dtype=">f4") / 7,
    "int64": numpy.arange(3),
    "bool": numpy.array([True]),
    "scalar": numpy.float32(1.5),
    "nested/name.weight": numpy.ones(2, dtype="<f4"),
    "zeros": numpy.zeros((64, 64), dtype="<f4"),
}
numpy.savez(here / "arrays.npz", **arrays)
numpy.savez_compressed(here / "compressed.npz", **arrays)
(here / "arrays.npz.json").write_text(
    json.dumps({name: {"shape": list(a.shape), "dtype": a.dtype.name, "values": a.astype("f8").ravel().tolist()} for name, a in arrays.items()}) + "\n"
)
