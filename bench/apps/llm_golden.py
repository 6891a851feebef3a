# SPDX-License-Identifier: Apache-2.0
# The model a third time, in numpy, for the expected numbers in tests/unit/test_llm_reference.c: whole sequences
# under a mask, no cache, and matrices in the files' layout, so that it shares no step with the C. Needs numpy;
# nothing builds or tests with it.
#   python3 llm_golden.py                      prints the numbers
#   python3 llm_golden.py MODEL DTYPE FILE     writes the weights of seed 1 as a file for --weights (DTYPE: F32,
#                                              F16, BF16); needs the safetensors package
import sys
import numpy as np

SHAPES = {"micro": (2, 64, 2, 128, 32), "tiny": (4, 256, 4, 4096, 256), "124m": (12, 768, 12, 50257, 1024)}
MATRICES = (("attn.c_attn", 1, 3, 2), ("attn.c_proj", 1, 1, 1), ("mlp.c_fc", 1, 4, 1), ("mlp.c_proj", 4, 1, 1))
U = np.uint64


def mix(key, counter):
    with np.errstate(over="ignore"):
        z = U(key) + (np.asarray(counter, dtype=U) + U(1)) * U(0x9E3779B97F4A7C15)
        z = (z ^ (z >> U(30))) * U(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> U(27))) * U(0x94D049BB133111EB)
        return z ^ (z >> U(31))


def key_of(seed, name):
    key = mix(seed, 0)
    for byte in name.encode():
        key = mix(key, byte)
    return key


def values(seed, name, count, centre, reach):
    bits = mix(key_of(seed, name), np.arange(count // 2, dtype=U))
    halves = np.stack([bits & U(0xFFFFFFFF), bits >> U(32)], axis=1).reshape(-1)
    unit = (halves >> U(8)).astype(np.float32) * np.float32(2.0**-23) - np.float32(1)
    return np.float32(centre) + np.float32(reach) * unit


def weights(shape, seed):
    """Every tensor by its name in a file, matrices of the layers as [inputs][outputs]."""
    layers, width, _, vocab, context = shape
    f = np.float32
    unit = np.sqrt(f(3) / f(width))
    whole = {"wte.weight": (vocab, f(2) * unit), "wpe.weight": (context, f(4) * unit)}
    out = {n: values(seed, n, r * width, 0, reach).reshape(r, width) for n, (r, reach) in whole.items()}
    norms = ["ln_f"] + [f"h.{i}.ln_{j}" for i in range(layers) for j in (1, 2)]
    for n in norms:
        out[n + ".weight"] = values(seed, n + ".weight", width, 1, 0.1)
        out[n + ".bias"] = values(seed, n + ".bias", width, 0, 0.1)
    for i in range(layers):
        for n, inputs, outputs, gain in MATRICES:
            name, inputs, outputs = f"h.{i}.{n}", inputs * width, outputs * width
            reach = f(gain) * np.sqrt(f(3) / f(inputs))
            flat = values(seed, name + ".weight", inputs * outputs, 0, reach)
            out[name + ".weight"] = np.ascontiguousarray(flat.reshape(outputs, inputs).T)
            out[name + ".bias"] = values(seed, name + ".bias", outputs, 0, 0.1)
    return out


def forward(shape, w, tokens):
    layers, width, heads, _, _ = shape
    w = {n: t.astype(np.float64) for n, t in w.items()}
    count, size = len(tokens), width // heads

    def norm(x, n):
        x = x - x.mean(1, keepdims=True)
        return x / np.sqrt((x * x).mean(1, keepdims=True) + 1e-5) * w[n + ".weight"] + w[n + ".bias"]

    def linear(x, n):
        return x @ w[n + ".weight"] + w[n + ".bias"]

    x = w["wte.weight"][tokens] + w["wpe.weight"][:count]
    mask = np.where(np.tril(np.ones((count, count))) > 0, 0, -np.inf)
    for i in range(layers):
        q, k, v = np.split(linear(norm(x, f"h.{i}.ln_1"), f"h.{i}.attn.c_attn"), 3, axis=1)
        mixed = []
        for h in range(heads):
            part = slice(h * size, (h + 1) * size)
            s = q[:, part] @ k[:, part].T / np.sqrt(size) + mask
            p = np.exp(s - s.max(1, keepdims=True))
            mixed.append(p / p.sum(1, keepdims=True) @ v[:, part])
        x = x + linear(np.concatenate(mixed, axis=1), f"h.{i}.attn.c_proj")
        u = linear(norm(x, f"h.{i}.ln_2"), f"h.{i}.mlp.c_fc")
        u = 0.5 * u * (1 + np.tanh(np.sqrt(2 / np.pi) * (u + 0.044715 * u**3)))
        x = x + linear(u, f"h.{i}.mlp.c_proj")
    return norm(x, "ln_f") @ w["wte.weight"].T


def numbers():
    shape = SHAPES["micro"]
    prompt = (mix(mix(key_of(5, "prompt"), 0), np.arange(9)) % U(shape[3])).astype(int)
    print("prompt", prompt.tolist())
    logits = forward(shape, weights(shape, 5), prompt)
    for row in (0, 4, 8):
        some = ", ".join(f"{logits[row][i]:.12f}" for i in (0, 17, 127))
        print(f"row {row}: at 0, 17, 127: {some}; square sum {(logits[row] ** 2).sum():.10f}")


def write(model, dtype, path):
    from safetensors import numpy as st

    tensors = weights(SHAPES[model], 1)
    if dtype == "BF16":  # numpy has no such type: the upper halves, and the header says what they are
        tensors = {n: (t.view(np.uint32) >> 16).astype(np.uint16) for n, t in tensors.items()}
        data = st.save(tensors).replace(b'"U16"', b'"BF16"')
        size = int.from_bytes(data[:8], "little") + len(tensors)
        data = (size).to_bytes(8, "little") + data[8:]
        open(path, "wb").write(data)
    else:
        kind = {"F32": np.float32, "F16": np.float16}[dtype]
        st.save_file({n: t.astype(kind) for n, t in tensors.items()}, path)


if len(sys.argv) == 1:
    numbers()
else:
    write(*sys.argv[1:])
