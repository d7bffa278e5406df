"""The form of a network that is exported: without what acts in training alone."""

import keras


def inference_form(model: keras.Model) -> keras.Model:
    """`model` without the layers marked `training_only`, each of which passes its input on; else `model` itself.

    The weights of such layers are in `model.keras`, so that training can go on, and in no export.
    """
    left_out = {layer.name for layer in model.layers if getattr(layer, "training_only", False)}
    if not left_out:
        return model

    def call(layer: keras.layers.Layer, inputs: object, *args: object, **kwargs: object) -> object:
        return inputs if layer.name in left_out else layer(inputs, *args, **kwargs)

    form = keras.models.clone_model(model, call_function=call)
    for layer in form.layers:
        layer.set_weights(model.get_layer(layer.name).get_weights())
    return form
