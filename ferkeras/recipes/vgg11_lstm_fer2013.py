"""VGG11 and a row LSTM without attention on FER2013: its last hidden state is the context.

Source: the VGG-LSTM-attention report on FER2013; settings as in `vgg11_lstm_attention_fer2013`.
Command: python train.py vgg11_lstm_fer2013 --manual-dir DIR
Measured: not yet run to its end.
"""

import dataclasses

from ferkeras.recipe import Model
from ferkeras.recipes import vgg11_lstm_attention_fer2013 as parent

RECIPE = dataclasses.replace(parent.RECIPE, name="vgg11_lstm_fer2013", model=Model("vgg11_lstm"))
