"""GPT-2 in NumPy, forward and backward: what `sg_core` computes, to be read in one sitting.

The engine gives the same numbers within 1e-4, far sooner (tests/docs/test_twin.py compares them). In the shapes:
B sequences of T tokens, V tokens in the vocabulary, C channels, L blocks, NH heads of hs = C / NH channels each.
`p` holds the parameters under Hugging Face's names, `dp` their gradients; `dx` is the gradient of the loss by x.
Every operation is followed by its gradient. Run it: python docs/gpt2_twin.py "ROMEO:"
"""

import sys

import numpy as np

# fmt: off
# ---------------------------------------------------------------- operations


def linear(x, p, name):
    """Every channel out is a weighted sum of the channels in."""
    return x @ p[f"{name}.weight"] + p[f"{name}.bias"]              # (B, T, in) @ (in, out) + (out,) -> (B, T, out)


def linear_backward(dy, x, p, dp, name):
    rows, drows = x.reshape(-1, x.shape[-1]), dy.reshape(-1, dy.shape[-1])  # (B*T, in), (B*T, out)
    dp[f"{name}.weight"] = rows.T @ drows                                   # (in, B*T) @ (B*T, out) -> (in, out)
    dp[f"{name}.bias"] = drows.sum(axis=0)                                  # (out,)
    return dy @ p[f"{name}.weight"].T                                       # (B, T, out) @ (out, in) -> (B, T, in)


def normalized(x, epsilon):
    """Every position with mean 0 and variance 1 over its channels, and what it was multiplied by for that."""
    scale = 1 / np.sqrt(x.var(axis=-1, keepdims=True) + epsilon)    # (B, T, 1)
    return (x - x.mean(axis=-1, keepdims=True)) * scale, scale      # (B, T, C), (B, T, 1)


def layernorm(x, p, name, epsilon):
    normal, _ = normalized(x, epsilon)                              # (B, T, C)
    return normal * p[f"{name}.weight"] + p[f"{name}.bias"]         # (B, T, C) * (C,) + (C,) -> (B, T, C)


def layernorm_backward(dy, x, p, dp, name, epsilon):
    normal, scale = normalized(x, epsilon)                          # (B, T, C), (B, T, 1)
    dp[f"{name}.weight"] = (dy * normal).sum(axis=(0, 1))           # (C,)
    dp[f"{name}.bias"] = dy.sum(axis=(0, 1))                        # (C,)
    dnormal = dy * p[f"{name}.weight"]                              # (B, T, C)
    through_mean = dnormal.mean(axis=-1, keepdims=True)             # (B, T, 1)
    through_variance = normal * (dnormal * normal).mean(axis=-1, keepdims=True)  # (B, T, C)
    return scale * (dnormal - through_mean - through_variance)      # (B, T, C)


def gelu(x):
    """A bend between 0 (x far below 0) and x (far above), in GPT-2's tanh form."""
    return x * 0.5 * (1 + np.tanh(np.sqrt(2 / np.pi) * (x + 0.044715 * x**3)))   # (B, T, 4C)


def gelu_backward(dy, x):
    tanh = np.tanh(np.sqrt(2 / np.pi) * (x + 0.044715 * x**3))                   # (B, T, 4C)
    slope = (1 - tanh**2) * np.sqrt(2 / np.pi) * (1 + 3 * 0.044715 * x**2)       # (B, T, 4C), of the tanh
    return dy * 0.5 * (1 + tanh + x * slope)                                     # (B, T, 4C)


def softmax(x):
    e = np.exp(x - x.max(axis=-1, keepdims=True))                   # the largest becomes 1: nothing overflows
    return e / e.sum(axis=-1, keepdims=True)


def split_heads(qkv, NH):
    """Queries, keys and values of every head."""
    B, T, C = *qkv.shape[:2], qkv.shape[2] // 3
    return qkv.reshape(B, T, 3, NH, C // NH).transpose(2, 0, 3, 1, 4)   # (B, T, 3C) -> (3, B, NH, T, hs)


def attention(qkv, NH):
    """Every position gathers values of the positions up to its own, by how well their keys fit its query."""
    q, k, v = split_heads(qkv, NH)                                  # (B, NH, T, hs) each
    _, _, T, hs = q.shape
    scores = q @ k.swapaxes(-1, -2) / np.sqrt(hs)                   # (B, NH, T, hs) @ (B, NH, hs, T) -> (B, NH, T, T)
    past = np.tri(T, dtype=bool)                                    # (T, T): row t is true up to column t
    pattern = softmax(np.where(past, scores, -np.inf))              # (B, NH, T, T), rows sum to 1
    z = pattern @ v                                                 # (B, NH, T, T) @ (B, NH, T, hs) -> (B, NH, T, hs)
    return z.swapaxes(1, 2).reshape(*qkv.shape[:2], NH * hs), pattern   # (B, T, C), (B, NH, T, T)


def attention_backward(dy, qkv, pattern, NH):
    q, k, v = split_heads(qkv, NH)                                  # (B, NH, T, hs) each
    B, _, T, hs = q.shape
    dz = dy.reshape(B, T, NH, hs).swapaxes(1, 2)                    # (B, NH, T, hs)
    dv = pattern.swapaxes(-1, -2) @ dz                              # (B, NH, T, hs)
    dpattern = dz @ v.swapaxes(-1, -2)                              # (B, NH, T, T)
    dscores = pattern * (dpattern - (dpattern * pattern).sum(axis=-1, keepdims=True)) / np.sqrt(hs)  # (B, NH, T, T)
    dq, dk = dscores @ k, dscores.swapaxes(-1, -2) @ q              # (B, NH, T, hs) each
    return np.stack([dq, dk, dv]).transpose(1, 3, 0, 2, 4).reshape(qkv.shape)   # (3, B, NH, T, hs) -> (B, T, 3C)


def cross_entropy(logits, targets):
    """The mean surprise at the targets in nats, and its gradient."""
    chosen = (*np.indices(targets.shape), targets)                  # the cell of each target in (B, T, V)
    dlogits = softmax(logits)                                       # (B, T, V), so far the probabilities
    loss = -np.log(dlogits[chosen]).mean()                          # ()
    dlogits[chosen] -= 1
    return loss, dlogits / targets.size                             # (), (B, T, V)


# ---------------------------------------------------------------- the model


def block(x, p, h, config):
    """x, and what its positions say to each other, and what each makes of it; also what the gradient needs."""
    norm_1 = layernorm(x, p, f"{h}.ln_1", config.layer_norm_epsilon)         # (B, T, C)
    qkv = linear(norm_1, p, f"{h}.attn.c_attn")                              # (B, T, 3C)
    z, pattern = attention(qkv, config.n_head)                               # (B, T, C), (B, NH, T, T)
    middle = x + linear(z, p, f"{h}.attn.c_proj")                            # (B, T, C)
    norm_2 = layernorm(middle, p, f"{h}.ln_2", config.layer_norm_epsilon)    # (B, T, C)
    wide = linear(norm_2, p, f"{h}.mlp.c_fc")                                # (B, T, 4C)
    active = gelu(wide)                                                      # (B, T, 4C)
    return middle + linear(active, p, f"{h}.mlp.c_proj"), (x, norm_1, qkv, pattern, z, middle, norm_2, wide, active)


def block_backward(dx, p, dp, h, config, kept):
    x, norm_1, qkv, pattern, z, middle, norm_2, wide, active = kept
    dactive = linear_backward(dx, active, p, dp, f"{h}.mlp.c_proj")          # (B, T, 4C)
    dnorm = linear_backward(gelu_backward(dactive, wide), norm_2, p, dp, f"{h}.mlp.c_fc")                   # (B, T, C)
    dmiddle = dx + layernorm_backward(dnorm, middle, p, dp, f"{h}.ln_2", config.layer_norm_epsilon)         # (B, T, C)
    dz = linear_backward(dmiddle, z, p, dp, f"{h}.attn.c_proj")              # (B, T, C)
    dqkv = attention_backward(dz, qkv, pattern, config.n_head)               # (B, T, 3C)
    dnorm = linear_backward(dqkv, norm_1, p, dp, f"{h}.attn.c_attn")         # (B, T, C)
    return dmiddle + layernorm_backward(dnorm, x, p, dp, f"{h}.ln_1", config.layer_norm_epsilon)            # (B, T, C)


def forward(ids, p, config):
    """ids (B, T) -> logits (B, T, V): row t scores every token as the one after position t. And what was kept."""
    x = p["wte.weight"][ids] + p["wpe.weight"][: ids.shape[1]]               # (B, T, C) + (T, C) -> (B, T, C)
    blocks = []
    for layer in range(config.n_layer):                                      # L times
        x, kept = block(x, p, f"h.{layer}", config)                          # (B, T, C)
        blocks.append(kept)
    final = layernorm(x, p, "ln_f", config.layer_norm_epsilon)               # (B, T, C)
    return final @ p["wte.weight"].T, (blocks, x, final)                     # (B, T, C) @ (C, V) -> (B, T, V)


def loss_and_gradients(ids, targets, p, config):
    """ids and targets (B, T) -> the mean loss in nats a token, and its gradient for every parameter, by name."""
    logits, (blocks, x, final) = forward(ids, p, config)                     # (B, T, V), ..., (B, T, C), (B, T, C)
    loss, dlogits = cross_entropy(logits, targets)                           # (), (B, T, V)
    dp = {"wpe.weight": np.zeros_like(p["wpe.weight"])}                      # (n_ctx, C): later positions stay 0
    dp["wte.weight"] = np.einsum("btv,btc->vc", dlogits, final)              # (V, C), as the unembedding
    dfinal = dlogits @ p["wte.weight"]                                       # (B, T, V) @ (V, C) -> (B, T, C)
    dx = layernorm_backward(dfinal, x, p, dp, "ln_f", config.layer_norm_epsilon)    # (B, T, C)
    for layer in reversed(range(config.n_layer)):
        dx = block_backward(dx, p, dp, f"h.{layer}", config, blocks[layer])  # (B, T, C)
    np.add.at(dp["wte.weight"], ids, dx)                                     # (V, C), as the embedding: tied weights
    dp["wpe.weight"][: ids.shape[1]] = dx.sum(axis=0)                        # (B, T, C) -> (T, C)
    return loss, dp


def complete(ids, count, p, config):
    """The likeliest next token, `count` times. Everything is computed again each time: what a KV cache saves."""
    for _ in range(count):
        logits, _ = forward(np.array([ids[-config.n_ctx :]]), p, config)     # (1, T, V)
        ids = [*ids, int(logits[0, -1].argmax())]
    return ids


if __name__ == "__main__":
    from sg_core import GPT2  # for the shipped weights and the tokenizer; all arithmetic stands above

    model = GPT2.from_pretrained("tinyshakespeare")
    prompt = model.tokenizer.encode(sys.argv[1] if len(sys.argv) > 1 else "ROMEO:")
    print(model.tokenizer.decode(complete(prompt, 40, model.parameters, model.config)))
