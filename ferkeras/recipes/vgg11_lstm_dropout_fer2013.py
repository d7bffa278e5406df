"""VGG11 and a row LSTM with dropout on FER2013.

Source: the VGG-LSTM-attention report on FER2013; settings as in `vgg11_lstm_attention_fer2013`. The report does not
state the rate; 0.3 after each LSTM layer and before the logits is this library's choice (model.options.dropout and
model.options.lstm_dropout change it).
Command: python train.py vgg11_lstm_dropout_fer2013 --manual-dir DIR
Measured: not yet run to its end.
"""

import dataclasses

from ferkeras.recipe import Model
from ferkeras.recipes import vgg11_lstm_attention_fer2013 as parent

RECIPE = dataclasses.replace(parent.RECIPE, name="vgg11_lstm_dropout_fer2013", model=Model("vgg11_lstm_dropout"))
