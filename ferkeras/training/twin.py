"""The training twin: the same network with other arithmetic, sharing nothing but names, shapes and meaning.

A model is defined, saved, evaluated and exported in float32 with plain Keras layers. For training it gets a twin,
in the dtype policy of the recipe and, with TensorFlow on a CPU, with the faster layers of `ferkeras.training.cpu`.
Weights move between the two by `set_weights`, so no file ever depends on how a model was trained.
"""

import keras


def make_twin(model: keras.Model, *, dtype: str, fused: bool) -> keras.Model:
    """A clone of `model` with its weights, in `dtype` and with fused layers where `fused` is set.

    Models inside it are cloned alike. Outputs stay float32 whatever the policy, as do LSTM layers in their fused
    form.
    """

    def twin_layer(layer: keras.layers.Layer) -> keras.layers.Layer:
        config = layer.get_config()
        if not isinstance(layer, keras.layers.Layer):  # a bare operation, such as the mask of `Masking`
            return type(layer).from_config(config)
        keep_float32 = isinstance(layer, keras.layers.InputLayer) or layer.name in model.output_names
        if not keep_float32:
            config["dtype"] = dtype
        kind: type[keras.layers.Layer] = type(layer)
        if fused:
            from ferkeras.training import cpu

            kind = cpu.fused_layer(layer) or kind
            if kind is cpu.FusedLSTM:
                config["dtype"] = "float32"
        return kind.from_config(config)

    twin = keras.models.clone_model(model, clone_function=twin_layer, recursive=True)
    twin.set_weights(model.get_weights())
    return twin


def can_fuse() -> bool:
    """True with the TensorFlow backend and no accelerator in sight."""
    if keras.backend.backend() != "tensorflow":
        return False
    from ferkeras.training import cpu

    return cpu.only_cpu()
