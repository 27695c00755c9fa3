r"""The mistakes of lesson 10 in a sweep, to see what each does to a comparison of your own:

python -m bmix_lite sweep notebooks/05_train.ipynb --with notebooks/mistakes.py \
    --grid schedule=plateau,leading_plateau --grid seed=0:5 --out build/mistakes

A schedule, a monitor and a mixing, each by the name in `bmix_lite.course.defects.MISTAKES`.
"""

from bmix_lite.course.defects import register_defects

register_defects()
