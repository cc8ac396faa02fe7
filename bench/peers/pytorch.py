"""PyTorch as a peer of the benchmark: on MPS where there is one, else on the CPU.

Answers one line of JSON on stdin with one on stdout; see lib/cli/bench/peers.ts. Everything that is timed is in `Case`.
On MPS, torch._weight_norm is MPSGraph's own norm.
"""

import json
import struct
import sys
import time

import torch
import torch.nn.functional as F

DEVICE = torch.device("mps" if getattr(torch.backends, "mps", None) and torch.backends.mps.is_available() else "cpu")


def synchronize():
    if DEVICE.type == "mps":
        torch.mps.synchronize()


def load_tensors(path):
    """Names to float32 tensors of a safetensors file."""
    with open(path, "rb") as file:
        (length,) = struct.unpack("<Q", file.read(8))
        header = json.loads(file.read(length))
        data = bytearray(file.read())
    tensors = {}
    for name, entry in header.items():
        if name != "__metadata__":
            begin, end = entry["data_offsets"]
            values = torch.frombuffer(data, dtype=torch.float32, count=(end - begin) // 4, offset=begin)
            tensors[name] = values.reshape(entry["shape"]).clone().to(DEVICE)
    return tensors


class Case:
    """One case and variant: `run` computes it once."""

    def __init__(self, case, variant, path):
        self.case = case
        self.tensors = load_tensors(path)
        self.live = variant == "live"
        if case["suite"] == "ops":
            self.run = self.backward if variant == "backward" else self.weight_norm
        else:
            self.run = self.vocoder if case["suite"] == "vocoder" else self.layer
        self.folded = {}

    def weight(self, name):
        """w = g · v / ‖v‖, computed at each forward when live, as torch's weight_norm does, else once."""
        if self.live:
            return torch._weight_norm(self.tensors[name + "weight_v"], self.tensors[name + "weight_g"], 0)
        if name not in self.folded:
            self.folded[name] = torch._weight_norm(self.tensors[name + "weight_v"], self.tensors[name + "weight_g"], 0)
        return self.folded[name]

    def weight_norm(self):
        return torch._weight_norm(self.tensors["weight_v"], self.tensors["weight_g"], 0)

    def backward(self):
        v, g = self.tensors["weight_v"], self.tensors["weight_g"]
        norms = torch.norm_except_dim(v, 2, 0)
        return torch.ops.aten._weight_norm_interface_backward(self.tensors["grad_w"], v, g, norms, 0)[0]

    def layer(self):
        case, x, bias = self.case, self.tensors["x"], self.tensors["bias"]
        weight = self.weight("")
        if case["family"] == "Linear":
            return F.linear(x, weight, bias)
        stride, padding, dilation, groups = case["stride"], case["padding"], case["dilation"], case["groups"]
        if case["family"] == "ConvTranspose1d":
            return F.conv_transpose1d(x, weight, bias, stride, padding, 0, groups, dilation)
        conv = F.conv1d if case["family"] == "Conv1d" else F.conv2d
        return conv(x, weight, bias, stride, padding, dilation, groups)

    def vocoder(self):
        """HiFi-GAN's generator (Kong et al. 2020)."""
        config = self.case["config"]
        kernels, dilations = config["resblock_kernel_sizes"], config["resblock_dilation_sizes"]
        x = self.conv("conv_pre", self.tensors["mel"])
        for stage, (rate, kernel) in enumerate(zip(config["upsample_rates"], config["upsample_kernel_sizes"])):
            name = f"ups.{stage}."
            x = F.conv_transpose1d(F.leaky_relu(x, 0.1), self.weight(name), self.tensors[name + "bias"], rate, (kernel - rate) // 2)
            blocks = [self.block(stage * len(kernels) + j, dilations[j], x) for j in range(len(kernels))]
            x = sum(blocks[1:], blocks[0]) / len(kernels)
        return torch.tanh(self.conv("conv_post", F.leaky_relu(x, 0.01)))

    def block(self, index, dilations, x):
        for d, dilation in enumerate(dilations):
            y = F.leaky_relu(x, 0.1)
            if self.case["config"]["resblock"] == "1":
                y = self.conv(f"resblocks.{index}.convs1.{d}", y, dilation)
                x = x + self.conv(f"resblocks.{index}.convs2.{d}", F.leaky_relu(y, 0.1))
            else:
                x = x + self.conv(f"resblocks.{index}.convs.{d}", y, dilation)
        return x

    def conv(self, name, x, dilation=1):
        weight = self.weight(name + ".")
        return F.conv1d(x, weight, self.tensors[name + ".bias"], 1, (weight.shape[2] - 1) * dilation // 2, dilation)

    def time(self, repeats):
        """Seconds of `repeats` runs: queued together and waited for once, a vocoder's waveform brought to the host each time."""
        vocoder = self.case["suite"] == "vocoder"
        synchronize()
        start = time.perf_counter()
        for _ in range(repeats):
            y = self.run()
            if vocoder:
                y.cpu()
        synchronize()
        return time.perf_counter() - start


loaded = {}


def answer(request):
    command = request["command"]
    if command == "hello":
        torch.set_num_threads(request["threads"])
        return {"version": torch.__version__, "device": DEVICE.type}
    if command == "load":
        loaded[request["id"]] = Case(request["case"], request["variant"], request["file"])
        return {}
    if command == "time":
        return {"seconds": loaded[request["id"]].time(request["repeats"])}
    if command == "output":
        values = loaded[request["id"]].run().contiguous().cpu().reshape(-1)
        with open(request["file"], "wb") as file:
            file.write(struct.pack(f"<{values.numel()}f", *values.tolist()))
        return {}
    del loaded[request["id"]]
    return {}


with torch.no_grad():
    for line in sys.stdin:
        try:
            reply = answer(json.loads(line))
        except Exception as error:  # the benchmark says what went wrong, and goes on
            reply = {"error": f"{type(error).__name__}: {error}"}
        print(json.dumps(reply), flush=True)
