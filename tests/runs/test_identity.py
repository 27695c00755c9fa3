import pytest

from bmix_lite.base.files import read_json, write_json
from bmix_lite.recipe import Recipe
from bmix_lite.runs.folder import make_run_id
from bmix_lite.runs.identity import RUN_ID, describe_recipe


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"dataset": "/data/../very odd <name>/", "split": 3, "seed": 12},
        {"mixing": "balanced", "alpha": 0.25, "q": 0.5},
        {"mixing": "mixup", "alpha": 1e-7},
    ],
)
def test_the_readable_part_of_a_run_id_can_be_had_from_its_file(tmp_path, fields):
    recipe = Recipe(**fields)
    run_id = make_run_id(recipe, "data")
    write_json(tmp_path / "recipe.json", {"method": recipe.method, "recipe": recipe.asdict()})
    about = read_json(tmp_path / "recipe.json")
    assert run_id.rsplit("-", 1)[0] == describe_recipe(about["method"], about["recipe"])
    assert RUN_ID.fullmatch(run_id)
