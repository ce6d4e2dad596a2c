"""What a person meets in the first hour: each of these once surprised somebody."""

from __future__ import annotations

import functools
import inspect
from typing import Any

import numpy as np
import pytest

import autograd_bn as ab
from autograd_bn.core.errors import ConversionError, DrawingError, GradientError, OperationError, RuleError, ShapeError
from autograd_bn.primitives import elementwise, linear, raw, unary
from tests.registries import temporary as temporary


def test_numpy_functions_take_tensors_that_have_no_gradient_to_lose() -> None:
    x = ab.tensor([3.0, 4.0], requires_grad=True)
    (x * x).sum().backward()
    assert np.allclose(x.grad, [6.0, 8.0]) and np.array_equal(x.grad, 2 * x.detach()) and np.linalg.norm(x.detach()) == 5.0  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="np.corrcoef has no recorded counterpart"):
        np.corrcoef(x)  # type: ignore[call-overload]


@pytest.mark.parametrize("requires_grad", [False, True])
def test_a_tensor_made_of_a_tensor_does_not_drop_its_gradient(requires_grad: bool) -> None:
    x = ab.tensor([1.0, 2.0], requires_grad=True)
    remedy = r"use ab\.asarray, or call \.detach\(\) first"

    def copied(x: ab.Tensor) -> ab.Tensor:
        return ab.tensor(x, requires_grad=requires_grad).sum()

    for run in (copied, lambda x: copied(x * 2.0), ab.grad(copied), lambda x: ab.jvp(copied, (x,), (x,)), ab.jacobian(ab.grad(copied))):
        with pytest.raises(ConversionError, match=remedy):
            run(x)
    with pytest.raises(ConversionError, match="inside vmap"):
        ab.vmap(copied)(ab.ones((2, 2)))
    with pytest.raises(ab.TraceError, match="needs the value"):
        ab.jit(copied)(ab.ones(2))
    assert ab.tensor(x.detach(), requires_grad=requires_grad).tolist() == [1.0, 2.0]
    assert ab.grad(lambda x: (ab.asarray(x) * x).sum())(x).tolist() == [2.0, 4.0]


def test_a_tensor_made_of_a_list_of_tensors_does_not_drop_their_gradients() -> None:
    x = ab.tensor([1.0, 2.0], requires_grad=True)
    for data in ([x[0], x[1]], [[x[0]], [1.0]]):
        with pytest.raises(ConversionError, match="ab.stack"):
            ab.tensor(data)  # type: ignore[arg-type]
    assert ab.tensor([x.detach()[0], 3.0]).tolist() == [1.0, 3.0]  # type: ignore[list-item]


def test_a_primitive_of_ones_own_can_be_defined_again_but_not_the_librarys(temporary: None) -> None:
    for factor in (2.0, 3.0):
        scaled = unary("scaled", functools.partial(np.multiply, factor), 1)
        assert scaled(1.0).item() == factor == raw.scaled(1.0)
    with pytest.raises(OperationError, match="belongs to autograd_bn"):
        unary("exp", np.exp, lambda out: out, "Mine.")


def test_the_constructors_of_primitives_have_a_public_name(temporary: None) -> None:
    assert ab.primitives.unary is unary and {"binary", "contraction", "linear", "raw", "reduction"} <= set(dir(ab.primitives))
    doubled = linear("doubled", lambda x: 2 * x, transpose=lambda g, x: ab.primitives.raw.doubled(g), batch=lambda x: ab.primitives.raw.doubled(x), label="2·")
    x = ab.tensor([1.0, 2.0], requires_grad=True)
    (doubled(x) * x).sum().backward()
    assert x.grad is not None and x.grad.tolist() == [4.0, 8.0] and isinstance(doubled(np.ones(2)), np.ndarray)
    assert ab.testing.check_gradients(doubled, x, also=("vmap", "jit")).ok


def test_a_function_of_a_primitive_may_return_a_python_number_but_no_list_and_no_tensor(temporary: None) -> None:
    cubed = unary("cubed", lambda x: x**3, lambda x: 3 * x**2)
    assert cubed(2.0).item() == 8.0 and ab.grad(ab.grad(cubed))(2.0).item() == 12.0 and cubed(2.0).shape == ()
    for wrong, kind in ((lambda x: [x, x], "list"), (ab.exp, "Tensor")):
        listed = unary("listed", wrong, 1)
        for x in (2.0, ab.tensor([2.0], requires_grad=True)):
            with pytest.raises(RuleError, match=rf"listed\(.*returned a {kind}, not an array(.|\n)*test_newcomers.py"):
                listed(x)


@pytest.mark.parametrize("shape", [(2,), (), (1, 2)])
def test_an_elementwise_rule_whose_result_has_another_shape_is_told_where(temporary: None, shape: tuple[int, ...]) -> None:
    longer = unary("longer", lambda x: x + 0.0, lambda g: np.ones(3))
    x = ab.tensor(np.ones(shape), requires_grad=True)
    y = longer(x * ab.ones(2)).sum()
    with pytest.raises(RuleError, match=r"the rule of longer returned a cotangent of shape \(3,\)(.|\n)*test_newcomers.py"):
        y.backward()


def test_a_primitive_of_ones_own_does_not_take_over_a_numpy_function(temporary: None) -> None:
    mine = unary("mine", np.spacing, 1, "Mine.")
    x = ab.tensor(1.0, requires_grad=True)
    assert mine(x).requires_grad
    with pytest.raises(TypeError, match="np.spacing has no recorded counterpart"):
        np.spacing(x)  # type: ignore[call-overload]


def test_a_partial_that_asks_for_an_unknown_name_is_told_which_there_are(temporary: None) -> None:
    with pytest.raises(OperationError, match=r"asks for 'z'; it may name x, y, out, g"):
        elementwise("odd", np.add, lambda z: z, 1)


def test_a_leaf_that_was_recorded_once_does_not_mark_later_drawings() -> None:
    x = ab.tensor([1.0, 2.0], requires_grad=True, name="x")
    with ab.record():
        (x * x).sum().backward()
    plain = (x * 2.0).sum()
    source = ab.draw(plain).source
    assert "color=red" not in source


def test_drawing_options_that_do_not_exist_are_refused() -> None:
    y = ab.tensor(1.0, requires_grad=True) * 2.0
    with pytest.raises(DrawingError, match="'LR', 'TB'"):
        ab.draw(y, direction="XX")  # type: ignore[arg-type]
    with pytest.raises(DrawingError, match="values='all': there are True, False, 'statistics'"):
        ab.draw(y, values="all")  # type: ignore[arg-type]
    with pytest.raises(DrawingError, match="gradients='statistics': there are True, False, 'only'"):
        ab.draw(y, gradients="statistics")  # type: ignore[arg-type]
    with pytest.raises(DrawingError, match=r"gives \(\) for a node; it has to give a number"):
        ab.draw(y, color=lambda node: node.shape)  # type: ignore[arg-type, return-value]


def test_a_layer_without_arguments_takes_none_and_its_signature_says_so() -> None:
    with pytest.raises(TypeError, match="ReLU"):
        ab.nn.ReLU(3)  # type: ignore[call-arg]

    class Mine(ab.nn.ReLU):
        def __init__(self, slope: float = 0.1) -> None: ...

    shown = {kind.__name__: str(inspect.signature(kind).replace(return_annotation=inspect.Signature.empty)) for kind in (ab.nn.ReLU, ab.nn.Sigmoid, Mine)}
    assert shown == {"ReLU": "()", "Sigmoid": "()", "Mine": "(slope: 'float' = 0.1)"}
    assert list(inspect.signature(ab.nn.Linear).parameters)[:2] == ["in_features", "out_features"]


def test_an_error_deep_inside_the_package_names_the_users_line() -> None:
    with pytest.raises(ShapeError, match=r"test_newcomers\.py"):
        ab.train.accuracy(ab.nn.Linear(3, 10), ab.data.digits())


def test_a_function_that_forgot_to_return_and_loose_primals_are_told() -> None:
    with pytest.raises(ab.DtypeError, match=r"holds numbers, got NoneType; a function without return gives None\n  at .*test_newcomers"):
        ab.grad(lambda x: None)(1.0)
    with pytest.raises(ab.DtypeError, match=r"holds numbers, got data of dtype object\n  at .*test_newcomers"):
        ab.tensor(np.array([None, None]))
    for given in (1.0, np.ones(3)):
        with pytest.raises(OperationError, match=r"primals is a tuple of one entry an argument, as in jvp\(f, \(x,\), \(t,\)\), got "):
            ab.jvp(ab.sin, given, given)  # type: ignore[arg-type]


def digits() -> ab.data.Dataset:
    images, labels = ab.data.digits()
    return ab.data.Dataset(images.reshape(-1, 64)[:200], labels[:200])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"train": digits()}, r"train is what gives mini-batches, a Loader, got Dataset; pass ab.data.Loader\(data, 64\)"),
        ({"optimizer": "adam"}, r"such as ab.optim.Adam\(model.parameters\(\)\), got 'adam'"),
        ({"callbacks": ab.train.EarlyStopping("val_loss")}, r"callbacks is a list, pass \[EarlyStopping\(…\)\]"),
        ({"metrics": ["accuracy"]}, "metrics is a mapping"),
        ({"loss": "mse"}, r"such as ab.nn.functional.mse_loss, got 'mse'"),
        ({"epochs": 0}, r"fit: epochs must be positive, got 0$"),
        ({"every": 0}, r"fit: every must be positive, got 0$"),
    ],
)
def test_what_fit_cannot_take_is_named_with_what_it_takes(arguments: dict[str, object], message: str) -> None:
    model = ab.nn.Linear(64, 10, rng=0)
    usual = {"optimizer": ab.optim.SGD(model.parameters()), "train": ab.data.Loader(digits(), 50), "epochs": 1, "progress": False}
    with pytest.raises(OperationError, match=message):
        ab.train.fit(model, **{**usual, **arguments})  # type: ignore[arg-type]


def test_accuracy_is_measured_of_classes_alone() -> None:
    rng = np.random.default_rng(0)
    data = rng.standard_normal((20, 3)).astype("float32"), rng.standard_normal(20).astype("float32")
    model = ab.nn.Sequential(ab.nn.Linear(3, 1, rng=0), Flat())
    history = ab.train.fit(model, ab.optim.SGD(model.parameters()), ab.data.Loader(data, 10), data, epochs=1, loss=ab.nn.functional.mse_loss, progress=False)
    assert list(history) == ["loss", "lr", "val_loss"]
    classifier = ab.nn.Linear(64, 10, rng=0)
    history = ab.train.fit(
        classifier, ab.optim.SGD(classifier.parameters()), ab.data.Loader(digits(), 50), digits(), epochs=1, loss=ab.nn.CrossEntropyLoss(), progress=False
    )
    assert list(history) == ["loss", "lr", "val_loss", "accuracy"]


class Flat(ab.nn.Module):
    def forward(self, x: ab.Tensor) -> ab.Tensor:
        return x[:, 0]


class Two(ab.nn.Module):
    def forward(self, x: ab.Tensor) -> Any:
        return ab.asarray(x) * 2.0, {"sums": ab.sum(x, axis=1)}


class Reduced(ab.nn.Module):
    def forward(self, x: ab.Tensor) -> Any:
        return x, ab.sum(x)


def test_all_outputs_of_a_model_are_predicted_in_chunks() -> None:
    x = np.arange(4400.0).reshape(2200, 2)
    doubled, rest = ab.train.predict(Two(), x)
    assert np.array_equal(doubled, 2 * x) and np.array_equal(rest["sums"], x.sum(1))
    assert ab.train.predict(ab.nn.Linear(2, 3, rng=0), x[:0]).shape == (0, 3)
    with pytest.raises(OperationError, match=r"an entry an example along axis 0, so 3 of them here, got float64\[\]"):
        ab.train.predict(Reduced(), x[:3])


def test_a_history_of_one_row_can_be_seen() -> None:
    history = ab.train.History()
    history.append(468, loss=175.3)
    assert repr(history) == "History(1 row of loss)"
    marks = []
    for _ in range(2):
        (line,) = history.plot().axes[0].lines
        marks.append(line.get_marker())
        history.append(936, loss=120.0)
    assert marks == [".", ""]


def test_split_takes_a_seed_and_says_what_a_pair_is() -> None:
    first, second = (ab.data.split(digits(), rng)[1].labels for rng in (3, ab.nn.init.generator(3)))
    assert np.array_equal(first, second)
    with pytest.raises(OperationError, match=r"a pair \(images, labels\), got ndarray of length 5"):
        ab.data.split(np.zeros((5, 2)), 0)  # type: ignore[arg-type]


def test_a_checkpoint_in_the_place_of_a_modules_state_is_recognised() -> None:
    model = ab.nn.Linear(2, 2, rng=0)
    with pytest.raises(OperationError, match=r"load its part state\[\"model\"\]"):
        model.load_state_dict({"step": 3, "model": model.state_dict()})  # type: ignore[dict-item]
    with pytest.raises(OperationError) as error:
        model.load_state_dict({})
    assert "checkpoint" not in str(error.value)


def test_an_optimiser_of_a_module_asks_for_its_parameters() -> None:
    with pytest.raises(OperationError, match=r"got a Linear; pass its parameters\(\)"):
        ab.optim.Adam(ab.nn.Linear(2, 2))  # type: ignore[arg-type]


def test_what_is_made_shows_its_settings() -> None:
    model = ab.nn.Linear(2, 2, rng=0)
    optimizer = ab.optim.SGD(model.parameters(), lr=0.5)
    assert repr(optimizer).startswith("SGD(2 parameters, lr=0.5, momentum=0")
    schedule = ab.optim.StepLR(optimizer, 20, gamma=0.25)
    schedule.step()
    shown = "StepLR(step_size=20, gamma=0.25, base_lrs=[0.5], steps=1)"
    assert repr(schedule) == shown
    assert repr(ab.optim.SequentialLR(optimizer, [schedule], [])) == f"SequentialLR(schedulers=[{shown}], milestones=[], base_lrs=[0.5], steps=0)"
    assert repr(digits()) == "Dataset(images float32[200, 64], labels int64[200])" and repr(ab.data.Dataset([1], [2])) == "Dataset(images [1], labels [2])"  # type: ignore[arg-type]
    generator = ab.nn.Generator(0)
    assert repr(generator) == f"Generator({generator.state!r})"
    assert repr(ab.custom_vjp(digits)) == "<CustomVJP digits>"
    assert repr(ab.data.Loader((np.zeros(5),), 2, seed=1)) == "Loader(5 examples, seed=1, epoch=0, position=0, batch_size=2, shuffle=True, drop_last=False)"


def test_a_list_in_a_sequential_and_under_vmap_is_told_how_to_be_passed() -> None:
    with pytest.raises(OperationError, match=r"Sequential\(\*modules\)"):
        ab.nn.Sequential([ab.nn.ReLU()])  # type: ignore[arg-type]
    with pytest.raises(ShapeError, match=r"a list or tuple is a container.*pass an array"):
        ab.vmap(ab.sin)([1.0, 2.0])


def test_requires_grad_is_not_set_later_and_says_what_to_do() -> None:
    x = ab.tensor([1.0], requires_grad=True)
    x.requires_grad = True  # as it is
    with pytest.raises(GradientError, match=r"cannot be set to False; use x.detach\(\)"):
        x.requires_grad = False
    with pytest.raises(GradientError, match="make the tensor with requires_grad=True"):
        x.detach().requires_grad = True


def test_several_elements_are_no_item_and_no_index() -> None:
    x = ab.tensor([1.0, 2.0], requires_grad=True)
    with pytest.raises(OperationError, match=r"item\(\) takes one element, and the tensor of shape \(2,\) has 2; reduce it first, or use tolist\(\)"):
        x.item()
    with pytest.raises(TypeError, match="integer"):
        range(x.detach()[0])  # type: ignore[arg-type]
    assert list(range(ab.tensor(3))) == [0, 1, 2]


def test_what_the_compiler_and_the_checks_call_themselves_has_the_users_line() -> None:
    model = ab.nn.Linear(2, 2, rng=0)
    with pytest.raises(GradientError, match=r"test_newcomers\.py"):
        ab.jit(model)(np.ones((3, 2), "float32"))
    double = ab.custom_vjp(lambda x: x * 2.0)
    double.defvjp(lambda x: (x * 2.0, None), lambda _, g: (g,))
    with pytest.raises(ab.testing.GradientCheckError, match=r"(?s)operation.*test_newcomers\.py"):
        ab.testing.check_gradients(double, np.ones(2))


def test_a_point_outside_the_domain_is_named_as_such() -> None:
    report = ab.testing.check_gradients(ab.log, np.array([1.0, -1.0]))
    assert report.passed["vjp"].startswith("1 of 2 elements by complex step; 1 not judged")
    assert report.notes == ["result 0 is nan at [1], where nothing can be said of a derivative: choose a point inside the domain of log"]
    with pytest.raises(ab.testing.GradientCheckError, match="choose a point inside the domain of log"):
        ab.testing.check_gradients(ab.log, np.array([-1.0, -2.0]))
    tripled = ab.custom_vjp(lambda x: x * 3.0)
    tripled.defvjp(lambda x: (x * 3.0, None), lambda _, g: (g,))
    assert ab.testing.check_gradients(tripled, np.ones(2), raises=False).notes == []


def test_an_integer_that_is_differentiated_is_told_how_a_float_is_written() -> None:
    with pytest.raises(TypeError, match=r"write 3\.0 for 3"):
        ab.grad(lambda x: x**2)(3)


def test_the_gradient_of_a_result_that_was_not_kept_is_none_with_a_warning() -> None:
    x = ab.tensor([1.0, 2.0], requires_grad=True)
    y, kept = x * 2.0, x * 3.0
    kept.retain_grad()
    assert x.grad is None and kept.grad is None and x.detach().grad is None
    (y + kept).sum().backward()
    assert x.grad is not None and kept.grad is not None
    with pytest.warns(UserWarning, match=r"made by mul, is None; call retain_grad\(\)") as caught:
        assert y.grad is None
    assert caught[0].filename == __file__


@pytest.mark.parametrize("name", ["grad", "jacobian", "hessian", "vmap", "vjp", "jvp", "checkpoint"])
def test_a_transform_of_a_result_is_refused_where_it_is_made(name: str) -> None:
    x = ab.tensor([1.0, 2.0], requires_grad=True)
    arguments = ((x,), (x,)) if name == "jvp" else ()
    said = "jacobian" if name == "hessian" else name
    with pytest.raises(OperationError, match=rf"^{said} takes a function, got Tensor; pass a function that computes it, or call its backward\(\)$"):
        getattr(ab, name)((x * x).sum(), *arguments)
    with pytest.raises(OperationError, match=rf"^{said} takes a function, got int$"):
        getattr(ab, name)(3, *arguments)


@pytest.mark.parametrize("name", ["grad", "jacobian"])
def test_arguments_in_the_place_of_argnums_are_told_where_they_go(name: str) -> None:
    with pytest.raises(OperationError, match=rf"position of an argument.*the arguments go to what {name} gives, as in {name}\(f\)\(x\)$") as error:
        getattr(ab, name)(ab.sin, np.ones(500))
    assert len(str(error.value)) < 250


def test_a_state_that_is_carried_on_is_told_to_be_cut() -> None:
    lstm, state = ab.nn.LSTM(2, 3, rng=0), None
    x = ab.nn.Generator(0).normal((4, 1, 2))
    outputs, state = lstm(x, state)
    outputs.sum().backward()
    with pytest.raises(GradientError, match=r"a state that is carried on to the next step needs detach\(\)\n  operation at .*test_newcomers\.py"):
        lstm(x, state)[0].sum().backward()
    lstm(x, ab.stop_gradient(state))[0].sum().backward()


def test_what_went_through_numpy_is_no_leaf_of_the_network() -> None:
    hidden = ab.nn.Linear(2, 3, rng=0)(np.ones((4, 2), "float32"))
    with pytest.raises(GradientError, match="requires_grad=True, and compute with tensors from there on$"):
        ab.asarray(np.exp(hidden.numpy())).sum().backward()


def test_a_name_with_an_underscore_is_told_the_one_without() -> None:
    for of, name, here in (
        (ab.optim, "clip_grad_norm_", "ab.optim.clip_grad_norm"),
        (ab.nn.functional, "relu_", "ab.nn.functional.relu"),
        (ab, "exp_", "ab.exp"),
    ):
        with pytest.raises(AttributeError, match=f"has no attribute '{name}'; instead: {here}$"):
            getattr(of, name)


@pytest.mark.parametrize("transform", [ab.grad, ab.value_and_grad])
def test_a_function_of_several_outputs_is_told_of_has_aux(transform: Any) -> None:
    with pytest.raises(GradientError, match=r"one output, got a tuple of 2; .*has_aux=True"):
        transform(lambda x: (x * x, x))(3.0)
    with pytest.raises(GradientError, match=r"has_aux=True needs a function that returns a pair.*, got a Tensor"):
        transform(lambda x: x * x, has_aux=True)(3.0)
    with pytest.raises(GradientError, match="got a list of 1"):
        transform(lambda x: ([x], x), has_aux=True)(3.0)
    assert transform(lambda x: [x * x, "more"], has_aux=True)(3.0)


def test_what_has_no_graph_is_told_in_words_of_no_other_function() -> None:
    for show in (ab.graph, ab.draw, lambda x: ab.explore(x, file="page.html")):
        with pytest.raises(OperationError, match="^a graph is taken of tensors, got ndarray$"):
            show(np.ones(2))  # type: ignore[operator]
        with pytest.raises(GradientError, match="^there is no graph: no operation was recorded"):
            show(ab.ones(2))  # type: ignore[operator]
    with pytest.raises(OperationError, match=r"got function; .* ab.draw\(f, x\)"):
        ab.graph(ab.sin)  # type: ignore[arg-type]


def test_batch_norm_without_scale_and_shift_has_mean_0_and_variance_1() -> None:
    x = ab.tensor([[1.0, 2.0], [3.0, 6.0], [8.0, 1.0]], requires_grad=True)
    y = ab.batch_norm(x, eps=0.0)
    assert np.allclose(y.mean(0).detach(), 0.0) and np.allclose(ab.var(y, axis=0).detach(), 1.0)
    assert (y.numpy() == ab.batch_norm(x, None, None, eps=0.0).numpy()).all()
