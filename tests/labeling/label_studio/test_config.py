import pytest

from distil.errors import RunError
from distil.labeling.label_studio.config import config_of, shown_in, with_classes


def test_missing_classes_are_added_and_the_rest_stays():
    config = config_of("image", ["cat"])
    assert shown_in(config) == "image"
    assert with_classes(config, ["cat"]) is None
    changed = config.replace("<View>", '<View><Header value="Which?"/><!-- ours -->').replace(
        '"cat"', '"cat" hotkey="c"'
    )
    more = with_classes(changed, ["cat", 'a<"&'])
    assert '<Header value="Which?" /><!-- ours -->' in more
    assert '<Choice value="cat" hotkey="c" /><Choice value="a&lt;&quot;&amp;" />' in more
    assert with_classes(more, ['a<"&', "cat"]) is None


def test_configs_that_lost_their_choices():
    for config in ("<View></View>", '<View><Choices name="other" toName="text"/></View>', "<View", ""):
        with pytest.raises(RunError, match="labeling config in Label Studio"):
            with_classes(config, ["cat"])
