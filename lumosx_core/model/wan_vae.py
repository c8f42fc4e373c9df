"""The network of Wan2.1's VAE: a causal 3D autoencoder, 8 x 8 pixels and 4 frames to one latent.

Written out in plain torch, since importing one class of diffusers takes longer than making a nano video. Modules and config
have the names of diffusers' `AutoencoderKLWan`, results are equal to the bit (in float32 on a CPU within 2e-5), and tests hold
both.

A video goes through in pieces: its first frame, then four frames at a time (in latents: one by one). Every convolution over
time keeps the last two frames that it saw for the next piece (`Memory`), so that the pieces give what the whole would.

Legend: B = batch, C = channels, T = frames of a piece, F = frames (4n + 1), H, W = pixels, h = H / 8, w = W / 8.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import nn

from lumosx_core.errors import InputError
from lumosx_core.model.causal_conv import KEPT, CausalConv3d, Memory


@dataclass(frozen=True, kw_only=True)
class VaeConfig:
    """Sizes of a Wan VAE, as diffusers calls them; the defaults are those of the released Wan2.1 VAE.

    base_dim: channels at full resolution (decoder_base_dim: of the decoder, None for the same). latents_mean, latents_std: of
    its latents, by which they are normalised. Raises InputError for what Wan2.1 has not (is_residual, patch_size: Wan2.2).
    """

    base_dim: int = 96
    decoder_base_dim: int | None = None
    z_dim: int = 16
    dim_mult: tuple[int, ...] = (1, 2, 4, 4)
    num_res_blocks: int = 2
    attn_scales: tuple[float, ...] = ()
    temperal_downsample: tuple[bool, ...] = (False, True, True)
    dropout: float = 0.0
    latents_mean: tuple[float, ...] = (
        -0.7571, -0.7089, -0.9113, 0.1075, -0.1745, 0.9653, -0.1517, 1.5508, 0.4134, -0.0715, 0.5517, -0.3632, -0.1922, -0.9497,
        0.2503, -0.2921,
    )  # fmt: skip
    latents_std: tuple[float, ...] = (
        2.8184, 1.4541, 2.3275, 2.6558, 1.2196, 1.7708, 2.6052, 2.0743, 3.2687, 2.1526, 2.8652, 1.5579, 1.6382, 1.1253, 2.8251,
        1.9160,
    )  # fmt: skip
    is_residual: bool = False
    in_channels: int = 3
    out_channels: int = 3
    patch_size: int | None = None
    scale_factor_temporal: int | None = 4
    scale_factor_spatial: int | None = 8

    def __post_init__(self) -> None:
        for name in ("dim_mult", "attn_scales", "temperal_downsample", "latents_mean", "latents_std"):
            value = getattr(self, name)
            if not isinstance(value, list | tuple):
                raise InputError(f"VAE config: {name} is {str(value)[:80]!r}, expected a list")
            object.__setattr__(self, name, tuple(value))
        wan_2_1 = {"attn_scales": (), "dropout": 0.0, "is_residual": False, "patch_size": None}
        other = [f"{name} {str(getattr(self, name))[:80]}" for name, value in wan_2_1.items() if getattr(self, name) != value]
        if other:
            raise InputError(f"VAE config: {', '.join(other)} is none of Wan2.1's VAE; take wan_2.1_vae.safetensors")
        if len(self.dim_mult) != len(self.temperal_downsample) + 1 or min(self.dim_mult, default=0) < 1 or self.base_dim < 1:
            raise InputError(
                f"VAE config: base_dim {self.base_dim}, dim_mult {self.dim_mult} and temperal_downsample "
                f"{self.temperal_downsample} do not belong together; expected one level more than steps between them"
            )


class RMSNorm(nn.Module):
    """Root-mean-square norm over the channels. dims: axes after them (3 of a video, 2 of pictures)."""

    def __init__(self, channels: int, dims: int) -> None:
        super().__init__()
        self.scale = channels**0.5
        self.gamma = nn.Parameter(torch.ones(channels, *(1,) * dims))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """[B, C, ...] -> the same shape; half precision is normed in float32."""
        half = x.dtype in (torch.float16, torch.bfloat16)
        return F.normalize(x.float() if half else x, dim=1).to(x.dtype) * self.scale * self.gamma


class Upsample(nn.Upsample):
    """Doubles the sides in float32, whatever the type."""

    def forward(self, input: torch.Tensor) -> torch.Tensor:  # noqa: A002 - torch's name
        """[N, C, h, w] -> [N, C, 2 h, 2 w]."""
        return super().forward(input.float()).type_as(input)


class Resample(nn.Module):
    """Halves or doubles the sides, and time with `in_time`."""

    def __init__(self, channels: int, *, up: bool, in_time: bool) -> None:
        super().__init__()
        self.up, self.in_time = up, in_time
        if up:
            self.resample = nn.Sequential(
                Upsample(scale_factor=(2.0, 2.0), mode="nearest-exact"), nn.Conv2d(channels, channels // 2, 3, padding=1)
            )
            if in_time:
                self.time_conv = CausalConv3d(channels, 2 * channels, (3, 1, 1), padding=(1, 0, 0))
        else:
            self.resample = nn.Sequential(nn.ZeroPad2d((0, 1, 0, 1)), nn.Conv2d(channels, channels, 3, stride=(2, 2)))
            if in_time:
                self.time_conv = CausalConv3d(channels, channels, (3, 1, 1), stride=(2, 1, 1))

    def forward(self, x: torch.Tensor, memory: Memory) -> torch.Tensor:
        """[B, C, T, H, W] of the next piece -> [B, C', T', H', W']; a first frame stays one frame."""
        if self.in_time and self.up:
            x = self._doubled(x, memory)
        batch, _, frames = x.shape[:3]
        x = self.resample(x.transpose(1, 2).flatten(0, 1)).unflatten(0, (batch, frames)).transpose(1, 2)
        if self.in_time and not self.up:
            previous, kept = memory.last(), x[:, :, -1:].clone()
            memory.keep(kept)
            if previous is not None:
                x = self.time_conv(torch.cat([previous, x], 2))
        return x

    def _doubled(self, x: torch.Tensor, memory: Memory) -> torch.Tensor:
        """Two frames for each; the first frame of a video is left as it is, and counts as zeros for what comes after it."""
        previous = memory.last()
        if previous is None:
            memory.keep(x[:, :, :0])
            return x
        kept = x[:, :, -KEPT:].clone()
        if kept.shape[2] < KEPT:
            kept = torch.cat([previous[:, :, -1:] if previous.shape[2] else torch.zeros_like(kept), kept], 2)
        memory.keep(kept)
        pairs = self.time_conv(x, previous).unflatten(1, (2, x.shape[1]))
        return torch.stack((pairs[:, 0], pairs[:, 1]), 3).flatten(2, 3)


class ResidualBlock(nn.Module):
    """Two convolutions beside a shortcut."""

    def __init__(self, channels: int, out_channels: int) -> None:
        super().__init__()
        self.norm1 = RMSNorm(channels, 3)
        self.conv1 = CausalConv3d(channels, out_channels, 3, padding=1)
        self.norm2 = RMSNorm(out_channels, 3)
        self.conv2 = CausalConv3d(out_channels, out_channels, 3, padding=1)
        self.conv_shortcut = CausalConv3d(channels, out_channels, 1) if channels != out_channels else nn.Identity()

    def forward(self, x: torch.Tensor, memory: Memory) -> torch.Tensor:
        """[B, C, T, H, W] of the next piece -> [B, C', T, H, W]."""
        shortcut = self.conv_shortcut(x)
        x = self.conv1.piece(F.silu(self.norm1(x)), memory)
        return self.conv2.piece(F.silu(self.norm2(x)), memory) + shortcut


class AttentionBlock(nn.Module):
    """Every frame's places look at each other, with one head."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm = RMSNorm(channels, 2)
        self.to_qkv = nn.Conv2d(channels, channels * 3, 1)
        self.proj = nn.Conv2d(channels, channels, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """[B, C, T, H, W] -> the same shape."""
        batch, channels, frames, height, width = x.shape
        pictures = x.transpose(1, 2).reshape(batch * frames, channels, height, width)
        qkv = self.to_qkv(self.norm(pictures)).reshape(batch * frames, 1, 3 * channels, -1).transpose(2, 3).contiguous()
        q, k, v = qkv.chunk(3, -1)
        seen = F.scaled_dot_product_attention(q, k, v).squeeze(1).transpose(1, 2).reshape(pictures.shape)
        return self.proj(seen).unflatten(0, (batch, frames)).transpose(1, 2) + x


class MidBlock(nn.Module):
    """Attention between two residual blocks."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        first, attention, second = (
            ResidualBlock(channels, channels),
            AttentionBlock(channels),
            ResidualBlock(channels, channels),
        )
        self.attentions = nn.ModuleList([attention])
        self.resnets = nn.ModuleList([first, second])

    def forward(self, x: torch.Tensor, memory: Memory) -> torch.Tensor:
        """[B, C, T, h, w] of the next piece -> the same shape."""
        return self.resnets[1](self.attentions[0](self.resnets[0](x, memory)), memory)


class Encoder(nn.Module):
    """Pixels to the mean and log variance of latents."""

    def __init__(self, config: VaeConfig) -> None:
        super().__init__()
        widths = [config.base_dim * factor for factor in (1, *config.dim_mult)]
        self.conv_in = CausalConv3d(config.in_channels, widths[0], 3, padding=1)
        self.down_blocks = nn.ModuleList()
        for level, (width, out) in enumerate(zip(widths[:-1], widths[1:], strict=True)):
            for number in range(config.num_res_blocks):
                self.down_blocks.append(ResidualBlock(out if number else width, out))
            if level < len(config.temperal_downsample):
                self.down_blocks.append(Resample(out, up=False, in_time=config.temperal_downsample[level]))
        self.mid_block = MidBlock(widths[-1])
        self.norm_out = RMSNorm(widths[-1], 3)
        self.conv_out = CausalConv3d(widths[-1], 2 * config.z_dim, 3, padding=1)

    def forward(self, x: torch.Tensor, memory: Memory) -> torch.Tensor:
        """[B, 3, T, H, W] of the next piece -> [B, 2 z_dim, 1, h, w]."""
        memory.restart()
        x = self.conv_in.piece(x, memory)
        for block in self.down_blocks:
            x = block(x, memory)
        x = self.mid_block(x, memory)
        return self.conv_out.piece(F.silu(self.norm_out(x)), memory)


class UpBlock(nn.Module):
    """Residual blocks of one level of the decoder, then twice the sides."""

    def __init__(self, channels: int, out_channels: int, blocks: int, in_time: bool | None) -> None:
        super().__init__()
        widths = [channels, *(out_channels,) * blocks]
        self.resnets = nn.ModuleList(ResidualBlock(width, out_channels) for width in widths)
        up = None if in_time is None else [Resample(out_channels, up=True, in_time=in_time)]
        self.upsamplers = None if up is None else nn.ModuleList(up)

    def forward(self, x: torch.Tensor, memory: Memory) -> torch.Tensor:
        """[B, C, T, H, W] of the next piece -> [B, C', T or 2 T, H or 2 H, W or 2 W]."""
        for block in self.resnets:
            x = block(x, memory)
        return x if self.upsamplers is None else self.upsamplers[0](x, memory)


class Decoder(nn.Module):
    """Latents to pixels."""

    def __init__(self, config: VaeConfig) -> None:
        super().__init__()
        base = config.base_dim if config.decoder_base_dim is None else config.decoder_base_dim
        widths = [base * factor for factor in (config.dim_mult[-1], *config.dim_mult[::-1])]
        in_time = config.temperal_downsample[::-1]
        self.conv_in = CausalConv3d(config.z_dim, widths[0], 3, padding=1)
        self.mid_block = MidBlock(widths[0])
        self.up_blocks = nn.ModuleList()
        for level, (width, out) in enumerate(zip(widths[:-1], widths[1:], strict=True)):
            doubled = in_time[level] if level < len(in_time) else None
            self.up_blocks.append(UpBlock(width // 2 if level else width, out, config.num_res_blocks, doubled))
        self.norm_out = RMSNorm(widths[-1], 3)
        self.conv_out = CausalConv3d(widths[-1], config.out_channels, 3, padding=1)

    def forward(self, x: torch.Tensor, memory: Memory) -> torch.Tensor:
        """[B, z_dim, 1, h, w] of the next latent frame -> [B, 3, T, H, W]."""
        memory.restart()
        x = self.mid_block(self.conv_in.piece(x, memory), memory)
        for block in self.up_blocks:
            x = block(x, memory)
        return self.conv_out.piece(F.silu(self.norm_out(x)), memory)


class Posterior:
    """The distribution of the latents of a video: a normal one for every number."""

    def __init__(self, parameters: torch.Tensor) -> None:
        self.mean, logvar = parameters.chunk(2, 1)
        self.logvar = logvar.clamp(-30.0, 20.0)
        self.std, self.var = torch.exp(0.5 * self.logvar), torch.exp(self.logvar)

    def mode(self) -> torch.Tensor:
        """[B, z_dim, T, h, w]: the mean."""
        return self.mean

    def sample(self) -> torch.Tensor:
        """[B, z_dim, T, h, w]: drawn with torch's default generator of the device."""
        noise = torch.randn(self.mean.shape, device=self.mean.device, dtype=self.mean.dtype)
        return self.mean + self.std * noise


@dataclass(frozen=True)
class Encoded:
    """What `WanVae.encode` gives."""

    latent_dist: Posterior


@dataclass(frozen=True)
class Decoded:
    """What `WanVae.decode` gives: sample [B, 3, F, H, W]."""

    sample: torch.Tensor


class WanVae(nn.Module):
    """The VAE with raw latents, called as diffusers' is; `vae.py` normalises them."""

    def __init__(self, config: VaeConfig) -> None:
        super().__init__()
        self.config = config
        self.encoder = Encoder(config)
        self.quant_conv = CausalConv3d(2 * config.z_dim, 2 * config.z_dim, 1)
        self.post_quant_conv = CausalConv3d(config.z_dim, config.z_dim, 1)
        self.decoder = Decoder(config)

    @property
    def device(self) -> torch.device:
        """Where its weights are."""
        return self.quant_conv.weight.device

    @property
    def dtype(self) -> torch.dtype:
        """Their type."""
        return self.quant_conv.weight.dtype

    def encode(self, video: torch.Tensor) -> Encoded:
        """[B, 3, F, H, W] in [-1, 1], F = 4n + 1 -> the distribution of [B, z_dim, n + 1, h, w]."""
        memory, frames = Memory(), video.shape[2]
        pieces = [video[:, :, :1], *(video[:, :, first : first + 4] for first in range(1, 1 + 4 * ((frames - 1) // 4), 4))]
        return Encoded(Posterior(self.quant_conv(torch.cat([self.encoder(piece, memory) for piece in pieces], 2))))

    def decode(self, latent: torch.Tensor) -> Decoded:
        """Raw latents [B, z_dim, T, h, w] -> [B, 3, 4 T - 3, H, W], clamped to [-1, 1]."""
        memory, x = Memory(), self.post_quant_conv(latent)
        pieces = [self.decoder(x[:, :, t : t + 1], memory) for t in range(x.shape[2])]
        return Decoded(torch.cat(pieces, 2).clamp(-1.0, 1.0))
