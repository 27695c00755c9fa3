"""What one file can hold: it gives the same picture, or a refusal that names the file."""

import io
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageCms, PngImagePlugin

from bmix_lite.base.errors import BmixError
from bmix_lite.preparation.decode import decode_image
from tiny import make_empty_png

DECODE_AND_MEASURE = """
import sys
from pathlib import Path
from bmix_lite.preparation.decode import decode_image
try:
    decode_image(sys.argv[1], 32)
except ValueError as error:
    print(error, Path("/proc/self/status").read_text().split("VmHWM:")[1].split()[0])
"""


@pytest.fixture
def photo():
    """A smooth coloured picture (96, 128, 3) whose quarters differ: a turn or a crop shows."""
    y, x = np.mgrid[0:96, 0:128]
    return np.stack(
        [x * 1.5 + 20, y * 2.0 + 10, 120 + 60 * np.sin(x / 20) * np.cos(y / 15)], -1
    ).astype(np.uint8)


@pytest.fixture
def save(tmp_path, photo):
    """A function that writes an image, or bytes, and returns the path."""

    def write(name, content=None, **options):
        path = tmp_path / name
        if isinstance(content, bytes):
            path.write_bytes(content)
        else:
            image = (
                content
                if isinstance(content, Image.Image)
                else Image.fromarray(photo if content is None else content)
            )
            image.save(path, **options)
        return path

    return write


def to_bytes(photo, kind, **options):
    buffer = io.BytesIO()
    Image.fromarray(photo).save(buffer, kind, **options)
    return buffer.getvalue()


def check_refused(path, words, **options):
    with pytest.raises(BmixError) as caught:
        decode_image(path, 32, **options)
    assert str(path) in str(caught.value)
    assert words in str(caught.value)


def near(one, other, limit=2.0):
    return np.abs(one.astype(float) - other.astype(float)).mean() < limit


@pytest.mark.parametrize(
    ("kind", "options", "keep"),
    [
        ("JPEG", {}, 0.5),
        ("JPEG", {}, -2),
        ("JPEG", {"progressive": True}, 0.95),
        ("JPEG", {"progressive": True}, -2),
        ("PNG", {}, 0.5),
    ],
)
def test_a_cut_file_is_refused(save, photo, kind, options, keep):
    whole = to_bytes(photo, kind, **options)
    end = keep if keep < 0 else int(len(whole) * keep)
    check_refused(save("cut.img", whole[:end]), "")


def test_a_png_with_a_wrong_checksum_is_refused(save, photo):
    broken = bytearray(to_bytes(photo, "PNG"))
    at = broken.index(b"IDAT")
    broken[at + 40] ^= 0xFF
    check_refused(save("broken.png", bytes(broken)), "cannot be decoded")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "empty"),
        (b"\xff", "not an image"),
        (b"  <!DOCTYPE html><p>Sign in", "looks like HTML"),
        (b"hello", "not an image"),
        (
            bytes(128) + b"DICM" + bytes(99),
            "a DICOM file, which is not read here: export it as PNG",
        ),
    ],
)
def test_what_is_no_image_is_named(save, content, words):
    check_refused(save("a.jpg", content), words)


def test_the_content_counts_not_the_name(save, photo):
    assert near(
        decode_image(save("a.jpg", to_bytes(photo, "PNG")), 32),
        decode_image(save("b.png"), 32),
        1e-9,
    )


def test_grey_images_of_any_kind_are_the_same(save, photo):
    grey = Image.fromarray(photo).convert("L")
    wanted = decode_image(save("rgb.png", grey.convert("RGB")), 32)
    assert (wanted[..., 0] == wanted[..., 2]).all()
    assert (decode_image(save("l.png", grey), 32) == wanted).all()
    assert (decode_image(save("la.png", grey.convert("LA")), 32) == wanted).all()
    deep = np.asarray(grey).astype(np.uint16) * 257
    assert near(decode_image(save("deep.png", Image.fromarray(deep)), 32), wanted, 1e-9)
    floats = (np.asarray(grey) / 255).astype(np.float32)
    assert near(decode_image(save("f.tif", Image.fromarray(floats)), 32), wanted, 1e-9)


def test_one_bit_is_black_and_white(save, photo):
    bits = Image.fromarray(photo).convert("1")
    assert (
        decode_image(save("1.png", bits), 32)
        == decode_image(save("l.png", bits.convert("RGB")), 32)
    ).all()


def test_twelve_bits_in_sixteen_must_be_said(save, photo):
    grey = np.asarray(Image.fromarray(photo).convert("L"))
    path = save("12.tif", Image.fromarray((grey.astype(np.uint32) * 4095 // 255).astype(np.uint16)))
    check_refused(path, "bits=12")
    assert near(decode_image(path, 32, bits=12), decode_image(save("8.png", grey), 32), 1)
    check_refused(save("16.png", Image.fromarray(grey.astype(np.uint16) * 257)), "0..4095", bits=12)


@pytest.mark.parametrize(
    "values", [np.float32([[-0.1, 1]]), np.float32([[0, 255]]), np.float32([[0, np.nan]])]
)
def test_floats_beyond_0_to_1_are_refused(save, values):
    check_refused(save("f.tif", Image.fromarray(np.tile(values, (16, 8)))), "pixels")


def test_cmyk_looks_like_rgb(save, photo):
    path = save("cmyk.jpg", Image.fromarray(photo).convert("CMYK"), quality=95)
    assert near(decode_image(path, 32), decode_image(save("rgb.png"), 32), 5)


def test_what_is_transparent_lies_on_black(save, photo):
    layers = np.dstack([photo, np.where(np.arange(128) < 64, 0, 255)[None].repeat(96, 0)]).astype(
        np.uint8
    )
    found = decode_image(save("a.png", Image.fromarray(layers)), 32)
    assert (found[:, :14] == 0).all()
    assert found[:, 18:].mean() > 50
    palette = Image.fromarray(np.repeat([[0] * 32 + [1] * 32], 64, 0).astype(np.uint8), "P")
    palette.putpalette([255, 0, 0, 0, 255, 0])
    found = decode_image(save("p.png", palette, transparency=0), 64)
    assert found[5, 5].tolist() == [0, 0, 0]
    assert found[5, 60].tolist() == [0, 255, 0]


@pytest.mark.parametrize("orientation", range(1, 9))
def test_the_orientation_is_applied(save, photo, orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    # what a camera stores so that a viewer shows the upright photograph
    undo = {2: 0, 3: 3, 4: 1, 5: 5, 6: 2, 7: 6, 8: 4}  # orientation: Image.Transpose
    upright = Image.fromarray(photo)
    stored = upright if orientation == 1 else upright.transpose(undo[orientation])
    assert near(
        decode_image(save("o.png", stored, exif=exif), 32), decode_image(save("u.png"), 32), 1e-9
    )


def test_a_camera_jpeg_is_turned_also_when_it_is_decoded_at_a_fraction(save):
    y, x = np.mgrid[0:400, 0:600]
    large = Image.fromarray(np.stack([x * 0.4, y * 0.6, 0 * x], -1).astype(np.uint8))
    exif = Image.Exif()
    exif[0x0112] = 6
    stored = large.transpose(Image.Transpose.ROTATE_90)
    turned = decode_image(save("o.jpg", stored, exif=exif, quality=95), 32)
    assert near(turned, decode_image(save("u.jpg", large, quality=95), 32))


def test_more_than_one_frame_is_refused(save, photo):
    frames = [Image.fromarray(photo), Image.fromarray(255 - photo), Image.fromarray(photo // 2)]
    check_refused(save("a.gif", frames[0], save_all=True, append_images=frames[1:]), "3 frames")
    check_refused(save("a.tif", frames[0], save_all=True, append_images=frames[1:]), "3 frames")


@pytest.mark.skipif(
    not Path("/proc/self/status").exists(), reason="peak memory is read from Linux' /proc"
)
@pytest.mark.parametrize("side", [10_000, 20_000])
def test_a_huge_image_is_refused_before_it_is_decoded(tmp_path, side):
    path = tmp_path / "huge.png"
    path.write_bytes(make_empty_png(side))
    command = [sys.executable, "-c", DECODE_AND_MEASURE, str(path)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert str(path) in done.stdout
    assert "pixels" in done.stdout
    # kB; not ru_maxrss, in which a child starts at its parent's peak
    assert int(done.stdout.split()[-1]) < 300_000


@pytest.mark.parametrize("shape", [(1, 1, 3), (1, 3000, 3), (10, 300, 3)])
def test_dots_and_lines_are_refused(save, shape):
    check_refused(save("a.png", np.zeros(shape, np.uint8)), "pixels")


def test_a_folder_a_missing_and_a_forbidden_file_are_named(tmp_path, save, monkeypatch):
    (tmp_path / "x.jpg").mkdir()
    check_refused(tmp_path / "x.jpg", "a folder")
    check_refused(tmp_path / "none.jpg", "missing")
    path = save("locked.png")
    path.chmod(0)
    if os.geteuid() == 0:  # root reads everything

        def refuse(*_, **__):
            raise PermissionError(13, "Permission denied")

        monkeypatch.setattr(type(path), "open", refuse)
    check_refused(path, "no permission")


def test_odd_but_harmless_files_are_accepted(save, photo):
    wanted = decode_image(save("plain.jpg", to_bytes(photo, "JPEG", quality=95)), 32)
    trailing = save("tail.jpg", to_bytes(photo, "JPEG", quality=95) + bytes(4096))
    assert (decode_image(trailing, 32) == wanted).all()
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()[:200]
    assert (
        decode_image(save("icc.jpg", to_bytes(photo, "JPEG", quality=95, icc_profile=profile)), 32)
        == wanted
    ).all()


def test_a_huge_text_in_a_png_is_harmless_or_named_with_the_file(save):
    about = PngImagePlugin.PngInfo()
    about.add_text("notes", "x" * 3_000_000, zip=True)
    check_refused(save("text.png", pnginfo=about), "cannot be decoded")
    about = PngImagePlugin.PngInfo()
    about.add_text("notes", "x" * 30_000, zip=True)
    assert (
        decode_image(save("note.png", pnginfo=about), 32) == decode_image(save("plain.png"), 32)
    ).all()


def test_crop_pad_and_stretch_keep_what_they_promise(save):
    wide = np.zeros((40, 120, 3), np.uint8)
    wide[:, 40:80], wide[:, :40, 0] = 255, 200  # red, white, black
    crop, pad, stretch = (
        decode_image(save("w.png", wide), 60, fit=fit) for fit in ("crop", "pad", "stretch")
    )
    assert crop[30, [3, 56]].min() > 250
    assert pad[[2, 57]].max() == 0
    assert pad[30, 30].min() > 250
    assert stretch[[2, 57], 30].min() > 250
    assert stretch[30, 5].tolist() == [200, 0, 0]


def test_decoding_a_jpeg_at_a_fraction_changes_little(save):
    y, x = np.mgrid[0:800, 0:800]
    large = np.stack([x * 0.3, y * 0.3, 128 + 100 * np.sin(x / 60)], -1).astype(np.uint8)
    quick = decode_image(save("l.jpg", large, quality=95), 64)
    whole = decode_image(save("l.png", large), 64)
    assert near(quick, whole, 3)


@pytest.mark.parametrize(
    ("name", "value"), [("size", 0), ("fit", "squeeze"), ("bits", 7), ("bits", 17)]
)
def test_bad_arguments_are_named(save, name, value):
    with pytest.raises(BmixError, match=name):
        decode_image(save("a.png"), **({"size": 32} | {name: value}))


def test_a_cut_progressive_jpeg_is_refused_although_its_thumbnail_is_whole(save, photo):
    thumbnail = io.BytesIO()
    Image.fromarray(photo).resize((16, 16)).save(thumbnail, "JPEG")
    note = b"Exif\0\0" + thumbnail.getvalue()  # whose end mark comes before the image's
    segment = b"\xff\xe1" + (len(note) + 2).to_bytes(2, "big") + note
    path = save("p.jpg", Image.fromarray(photo), progressive=True, quality=95)
    whole = path.read_bytes()
    path.write_bytes(whole[:2] + segment + whole[2:])
    decode_image(path, 16)
    path.write_bytes(whole[:2] + segment + whole[2:-2])
    check_refused(path, "")  # how, depends on the version of Pillow


@pytest.mark.parametrize("ending", ["jpg", "png", "tif"])
def test_boxes_in_a_photograph_that_exif_turns_are_asked_for(save, photo, ending):
    exif = Image.Exif()
    for orientation, is_turned in ((1, False), (6, True)):
        exif[0x0112] = orientation
        path = save(f"{orientation}.{ending}", Image.fromarray(photo), exif=exif)
        if is_turned:
            check_refused(path, "EXIF turns this photograph", box=(0, 0, 20, 20))
        else:
            assert decode_image(path, 16, box=(0, 0, 20, 20)).shape == (16, 16, 3)
