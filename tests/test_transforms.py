"""transform_for: from a picture to the input that published weights want."""

import numpy as np
import pytest
from PIL import Image

import fastconv as fc
from fastconv.data import Transform, imagenet_classes, photograph, photograph_batch, transform_for
from fastconv.errors import ArgumentError, DTypeError, ShapeError
from fastconv.models import create_model, list_models, model_info

IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))


def test_a_network_says_how_it_wants_its_pictures():
    assert transform_for(create_model("resnet18")) == Transform(256, 224, "bilinear", *IMAGENET)
    assert transform_for(model_info("vgg16")) == Transform(256, 224, "bilinear", *IMAGENET)


@pytest.mark.parametrize("name", list_models())
def test_every_network_with_preprocessing_takes_what_comes_out(name):
    info = model_info(name)
    if info.preprocessing is None:
        with pytest.raises(ArgumentError, match=f"transform_for: {name} has no published"):
            transform_for(info)
    else:
        # the crop is the published input where a file of weights says so; others are resized alike
        x = transform_for(info)([photograph("coffee.jpg")])
        assert x.shape == (1, info.preprocessing.crop, info.preprocessing.crop, info.input_shape[2])


def test_values_by_hand():
    """Two by two pixels of one colour each; nothing to interpolate."""
    pixels = np.array([[[255, 0, 51], [0, 0, 0]], [[102, 204, 0], [0, 0, 255]]], np.uint8)
    x = Transform(2, 2, "nearest", (0.5, 0.25, 0), (0.5, 1, 0.1))(pixels)
    assert x.dtype == np.float32 and x.shape == (2, 2, 3)
    np.testing.assert_allclose(x[0, 0], [1, -0.25, 2], rtol=1e-6)
    np.testing.assert_allclose(x[1, 0], [-0.2, 0.55, 0], rtol=1e-6)


def test_the_shorter_side_is_resized_and_the_centre_cut_out():
    ramp = np.broadcast_to(np.arange(200, dtype=np.uint8)[None, :, None], (100, 200, 3))
    identity = ((0, 0, 0), (1 / 255,) * 3)
    x = Transform(100, 50, "bilinear", *identity)(ramp)
    np.testing.assert_allclose(x[0, :, 0], np.arange(75, 125), atol=1e-4)
    # a smaller picture is an average, not a sample: antialiasing
    stripes = np.zeros((64, 64, 3), np.uint8)
    stripes[:, ::2] = 200
    for interpolation in ("bilinear", "bicubic"):
        x = Transform(16, 12, interpolation, *identity)(stripes)
        assert abs(x - 100).max() < 12
    # a picture smaller than the crop has a black margin, as in torchvision
    x = Transform(10, 14, "bilinear", *identity)(np.full((10, 10, 3), 9, np.uint8))
    assert x.shape == (14, 14, 3) and x[0].max() == 0 and np.allclose(x[2:-2, 2:-2], 9)


def test_every_kind_of_picture(tmp_path):
    transform = transform_for(model_info("resnet18"))
    picture = photograph("chelsea.jpg")
    x = transform(picture)
    assert x.shape == (224, 224, 3)
    array = np.asarray(picture)
    picture.save(tmp_path / "cat.png")
    for other in (array, tmp_path / "cat.png", str(tmp_path / "cat.png"), picture.convert("RGBA")):
        np.testing.assert_array_equal(transform(other), x)
    np.testing.assert_array_equal(transform([array, picture])[1], x)
    gray = transform(picture.convert("L")) * IMAGENET[1] + IMAGENET[0]
    np.testing.assert_allclose(gray[..., 0], gray[..., 2], atol=1e-6)
    assert Transform(8, 8, "bilinear", (0.5,), (0.5,))(picture).shape == (8, 8, 1)


def test_it_is_near_to_the_benchmarks_pictures():
    """photograph_batch rounds the longer side instead of cutting it: the same scene."""
    ours = transform_for(model_info("resnet18"))([photograph("astronaut.jpg")])
    theirs = photograph_batch(1)
    assert np.mean((ours - theirs) ** 2) < 1e-3 * np.mean(theirs**2)


def test_wrong_pictures_are_named(tmp_path):
    transform = transform_for(model_info("resnet18"))
    with pytest.raises(DTypeError, match="an array of uint8, got ndarray of float64"):
        transform(np.ones((8, 8, 3)))
    with pytest.raises(ShapeError, match=r"is \(H, W, 3\) or \(H, W\), got \(3, 8, 8\)"):
        transform(np.ones((3, 8, 8), np.uint8))
    with pytest.raises(ArgumentError, match="no picture in the list"):
        transform([])
    with pytest.raises(ArgumentError, match=r"a network from fc\.models\.create_model, got ReLU"):
        transform_for(fc.nn.ReLU())
    with pytest.raises(ArgumentError, match=r"astronaut\.jpg, .* not 'dog\.jpg'"):
        photograph("dog.jpg")
    assert isinstance(photograph("chelsea.jpg"), Image.Image)


def test_class_names():
    assert len(imagenet_classes()) == 1000
    assert all(name == name.strip() and name for name in imagenet_classes())
