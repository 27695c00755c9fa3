"""bmix-lite: understand and use Balanced-MixUp (Galdran et al., MICCAI 2021) on imbalanced images.

Importing the package costs nothing; import the module you need, e.g. `from bmix_lite.mixing import balanced_mixup`.
"""

__version__ = "0.1.0"
