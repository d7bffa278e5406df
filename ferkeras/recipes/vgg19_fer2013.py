"""VGG19 alone on FER2013: the deepest convolutional baseline of the report.

Source: the VGG-LSTM-attention report on FER2013; settings as in `vgg11_lstm_attention_fer2013`.
Command: python train.py vgg19_fer2013 --manual-dir DIR
Measured: not yet run to its end.
"""

import dataclasses

from ferkeras.recipe import Model
from ferkeras.recipes import vgg11_lstm_attention_fer2013 as parent

RECIPE = dataclasses.replace(parent.RECIPE, name="vgg19_fer2013", model=Model("vgg19"))
