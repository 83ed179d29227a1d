"""What mapping can be told."""

from __future__ import annotations

from dataclasses import dataclass

from langfield.errors import SettingsError

PER_VIEW = 8_500


@dataclass(frozen=True)
class MappingSettings:
    """How the map grows and learns; the defaults suit 320x240 on two cores: a walk round a room stays below 100,000."""

    first_steps: int = 120
    """Steps on the first keyframe."""
    steps: int = 30
    """Steps after every other keyframe; each draws one keyframe."""
    past: int = 4
    """Every so many steps, one draws a keyframe that has left the window."""
    newest: int = 3
    """Every so many steps, one draws the newest keyframe."""
    stride: int | None = None
    """One new Gaussian for every square of so many pixels a side; None: so that a whole view gets about 8,500."""
    width: float = 0.6
    """Standard deviation of a new Gaussian, in strides."""
    thickness: float = 0.1
    """Of a new Gaussian along the surface's normal, as a share of its width; 1 for balls."""
    first_opacity: float = 0.9
    thin: float = 0.7
    """Where the map covers less than this, Gaussians are added."""
    before: float = 0.05
    """So they are where something is seen nearer than the map by more than this share of its depth."""
    first_depth: float = 2.0
    """World units; where the first frame without depth is taken to lie."""
    guess_spread: float = 0.3
    """Standard deviation of guessed depths, as a share of the depth."""
    ssim_weight: float = 0.2
    """Share of 1 - SSIM in the colour loss."""
    depth_weight: float = 0.5
    """Weight of the mean relative depth error beside the colour loss."""
    cover_weight: float = 0.1
    """Weight of the mean light that passes the map where a surface is known to be."""
    isotropy_weight: float = 0.02
    """Weight of the mean squared spread of a Gaussian's three log scales: long ones would lie where nothing looked."""
    drop_opacity: float = 0.05
    """Fainter Gaussians are dropped once they have learned for a while."""
    young: int = 20
    """Steps a Gaussian has before it can be dropped."""
    widest: float = 0.15
    """Gaussians wider than this share of the first keyframe's median depth are dropped."""
    lr_means: float = 2e-4
    """Adam learning rate of centres as a share of the first keyframe's median depth."""
    lr_exposure: float = 1e-3
    pose_share: float = 0.2
    """Share of a Newton-like step that a window keyframe's pose takes whenever it is drawn."""
    sh_degree: int = 0
    """Highest harmonic degree of colours, 0 to 3."""

    def stride_for(self, width: int, height: int) -> int:
        """Give the stride for a picture size, pixels."""
        return self.stride or max(1, round((width * height / PER_VIEW) ** 0.5))

    def check(self) -> None:
        """Check the ranges.

        Raises:
            SettingsError: one lies outside its range.
        """
        counts = (self.first_steps, self.steps, self.past - 1, self.newest - 1, (self.stride or 1) - 1, self.young)
        shares = (self.thin, self.before, self.ssim_weight, self.drop_opacity, self.pose_share)
        if min(counts) < 0 or not all(0 <= s <= 1 for s in shares) or not 0 <= self.sh_degree <= 3:
            raise SettingsError("a mapping setting lies outside its range", self)
        if not (0 < self.first_opacity < 1 and self.width > 0 and self.first_depth > 0 and self.lr_means > 0):
            raise SettingsError("first_opacity must lie between 0 and 1, width, first_depth and lr_means above 0", self)
