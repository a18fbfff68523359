"""A network that exists, made adaptive: what stays to the last bit, what becomes trainable, what is shared."""

from __future__ import annotations

import copy
import io

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from spikebridge import (
    LIF,
    AdaptiveLIF,
    Direct,
    Hybrid,
    HybridStem,
    Latency,
    OverTime,
    Rate,
    SpikingNetwork,
    StepNorm,
    StepReadout,
    convert,
    declare_time,
    run,
)
from spikebridge.adaptive import adapt
from spikebridge.models import has_resnet, lenet_cifar
from spikebridge.training import parameter_groups

from .networks import HOSTS, NEURONS, STEPS, Own, Twice, eager, images, neurons_of, own, spiking, varied

every_host = pytest.mark.parametrize("host", HOSTS)
every_neuron = pytest.mark.parametrize("neuron", NEURONS)

SWITCHES = {
    "layer": {},
    "channel": {"leak": "channel", "gain": "channel", "readout": "class"},
    "leak alone": {"gain": "fixed", "readout": "fixed"},
    "gain of channels, leak of layers": {"gain": "channel", "readout": "fixed"},
    "leak of channels, gain of layers": {"leak": "channel", "gain": "layer"},
    "readout alone": {"leak": "fixed", "gain": "fixed"},
    "off": {"leak": "fixed", "gain": "fixed", "readout": "fixed"},
}
OFF = SWITCHES["off"]
every_switch = pytest.mark.parametrize("switches", SWITCHES.values(), ids=SWITCHES)


# --- what stays ----------------------------------------------------------------------------------------------


@every_host
@pytest.mark.parametrize("switches", ["layer", "channel", "off"])
def test_a_fresh_one_answers_as_its_host_to_the_last_bit(host: str, switches: str) -> None:
    network, values = spiking(host), images(host)
    adapted = adapt(network, STEPS, **SWITCHES[switches], batch=values[:1])
    assert all(isinstance(neuron, AdaptiveLIF) for neuron in neurons_of(adapted).values())
    assert neurons_of(adapted).keys() == neurons_of(network).keys()
    expected = network.train_out(values)
    assert expected.std() > 0
    assert torch.equal(adapted.train_out(values), expected)
    assert torch.equal(adapted(values), network(values))


@every_host
@pytest.mark.parametrize("switches", ["layer", "channel", "off"])
def test_so_it_does_in_autocast(host: str, switches: str) -> None:
    network, values = spiking(host), images(host)
    adapted = adapt(network, STEPS, **SWITCHES[switches], batch=values[:1])
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert network.train_out(values).dtype == torch.bfloat16  # so that there is something to lose
        expected = network(values)
        assert expected.dtype == adapted(values).dtype == torch.float32
        assert torch.equal(adapted(values), expected)
        assert torch.equal(adapted.readouts(values), network.readouts(values))


@every_neuron
@every_switch
def test_so_do_gradients_and_statistics_for_every_neuron_and_switch(neuron: str, switches: dict[str, str]) -> None:
    network, values = spiking("lenet_cifar", NEURONS[neuron]).train(), images()
    adapted = adapt(network, STEPS, **switches, batch=values)
    found, expected = adapted(values), network(values)
    assert torch.equal(found, expected)
    F.cross_entropy(found, torch.arange(4)).backward()
    F.cross_entropy(expected, torch.arange(4)).backward()
    mine, theirs = dict(adapted.body.named_parameters()), dict(network.body.named_parameters())
    for name, parameter in theirs.items():
        if "raw_decay" not in name:
            where = name.replace("readout.0", "readout.layer") if switches.get("readout") != "fixed" else name
            assert torch.equal(mine[where].grad, parameter.grad), name
    assert theirs["stem.0.weight"].grad.abs().sum() > 0
    buffers = dict(adapted.named_buffers())
    assert all(torch.equal(buffers[name], held) for name, held in network.named_buffers() if "running" in name)


@every_neuron
def test_all_switches_off_add_nothing_to_train(neuron: str) -> None:
    network = spiking("sew-add", NEURONS[neuron])
    baseline = adapt(network, STEPS, **OFF)
    weights = {name for name, _ in network.named_parameters() if "raw_decay" not in name}
    assert {name for name, _ in baseline.named_parameters()} == weights
    values = images()
    F.cross_entropy(baseline(values), torch.arange(4)).backward()
    before = {name: held.clone() for name, held in baseline.named_buffers()}
    torch.optim.AdamW(parameter_groups(baseline), lr=0.1, weight_decay=0.5).step()
    assert all(torch.equal(before[name], held) for name, held in baseline.named_buffers())


@every_switch
def test_each_switch_adds_its_own_parameters(switches: dict[str, str]) -> None:
    network = spiking("lenet_cifar")
    adapted = adapt(network, STEPS, **switches, batch=images())
    channels = {"fixed": [], "layer": [()] * 4, "channel": [(32,), (48,), (64,), (256,)]}
    scales = {"fixed": [], "step": [(STEPS,)], "class": [(STEPS, 10)]}
    full = {"leak": "layer", "gain": "layer", "readout": "step"} | switches
    found = {name: [] for name in ("leak", "gain", "scale")}
    for name, parameter in adapted.named_parameters():
        found.get(name.rpartition(".")[2], []).append(tuple(parameter.shape))
    assert found["leak"] == [(STEPS, *unit) for unit in channels[full["leak"]]]
    assert found["gain"] == [(STEPS, *unit) for unit in channels[full["gain"]]]
    assert found["scale"] == scales[full["readout"]]


def test_the_published_network_has_the_published_number_of_parameters() -> None:
    host = SpikingNetwork(lenet_cifar(activation=LIF), encoder=Direct(time_steps=7))
    sizes = {
        stem: {
            name: each.numel()
            for name, each in adapt(host, 7, encoder=Hybrid(time_steps=7), stem=stem).named_parameters()
        }
        for stem in ("own", "shared")
    }
    assert sum(sizes["own"].values()) == 332_403
    adaptive = [size for name, size in sizes["own"].items() if name.endswith(("leak", "gain", "scale"))]
    assert (len(adaptive), sum(adaptive)) == (9, 63)
    assert sum(sizes["shared"].values()) == 331_380 + 63


@pytest.mark.parametrize(
    ("host", "options", "count"), [("spikformer", {"depth": 4}, 268), ("sew-add", {"stages": (2, 2, 2, 2)}, 164)]
)
def test_published_hosts_have_two_numbers_a_step_for_each_of_their_neurons(
    host: str, options: dict[str, object], count: int
) -> None:
    made = adapt(HOSTS[host](**options), STEPS)
    added = [each.numel() for name, each in made.named_parameters() if name.endswith(("leak", "gain", "scale"))]
    assert sum(added) == count


def test_the_given_network_is_not_touched_and_shares_nothing() -> None:
    network, values = spiking("sew-add"), images()
    rng, before = torch.get_rng_state(), copy.deepcopy(network)
    adapted = adapt(network, STEPS, leak="channel", encoder=Hybrid(time_steps=STEPS), batch=values)
    assert torch.equal(torch.get_rng_state(), rng)
    assert str(network) == str(before)
    assert not any(module._forward_pre_hooks or module._forward_hooks for module in network.modules())
    assert not {id(tensor) for tensor in network.state_dict(keep_vars=True).values()} & {
        id(tensor) for tensor in adapted.state_dict(keep_vars=True).values()
    }
    with torch.no_grad():
        for tensor in adapted.state_dict().values():
            tensor.fill_(1)
    assert all(torch.equal(held, before.state_dict()[name]) for name, held in network.state_dict().items())
    assert torch.equal(network(values), before(values))


def test_watching_a_batch_updates_no_statistics_and_keeps_every_mode() -> None:
    network = spiking("lenet_cifar").train()
    network.body.layer2.eval()
    modes, state = [m.training for m in network.modules()], copy.deepcopy(network.state_dict())
    adapted = adapt(network, STEPS, leak="channel", batch=images())
    assert [m.training for m in network.modules()] == modes
    assert all(torch.equal(held, state[name]) for name, held in network.state_dict().items())
    assert adapted.body.activation1.training
    assert not adapted.body.layer2[2].training
    assert all(not m.training for m in adapt(network.eval(), STEPS, encoder=Hybrid(time_steps=STEPS)).modules())


def test_watching_a_batch_draws_no_numbers() -> None:
    network = SpikingNetwork(spiking("lenet_cifar").body, encoder=Rate(time_steps=STEPS))
    rng = torch.get_rng_state()
    adapt(network, STEPS, leak="channel", batch=images()[:1] * 0 + 0.5)
    drawn = torch.get_rng_state()
    torch.set_rng_state(rng)
    images()
    assert torch.equal(torch.get_rng_state(), drawn)


# --- every kind of network -----------------------------------------------------------------------------------


def test_a_bare_body_stays_one_and_an_encoder_wraps_it() -> None:
    body, values = spiking("sew-add").body, images()
    train = values.expand(STEPS, *values.shape)
    adapted = adapt(body, STEPS)
    assert type(adapted) is nn.Sequential
    assert torch.equal(adapted(train), body(train))
    wrapped = adapt(body, STEPS, encoder=Direct(time_steps=STEPS))
    assert isinstance(wrapped, SpikingNetwork)
    assert torch.equal(wrapped(values), body(train).mean(0))
    assert not wrapped.training


@every_switch
def test_a_class_of_ones_own_is_watched(switches: dict[str, str]) -> None:
    network, values = own(), images()
    adapted = adapt(network, STEPS, **switches, batch=values)
    assert network(values).std(0).max() > 0
    assert torch.equal(adapted(values), network(values))
    assert isinstance(adapted.body.answers, StepReadout) == (switches.get("readout") != "fixed")
    hybrid = adapt(network, STEPS, encoder=Hybrid(time_steps=STEPS), batch=values)
    assert isinstance(hybrid.body.sees, HybridStem)
    assert isinstance(hybrid.body.answers, StepReadout)
    assert isinstance(hybrid.body.middle, OverTime)


def test_a_neuron_in_two_places_stays_one() -> None:
    network, values = SpikingNetwork(Twice(), encoder=Direct(time_steps=STEPS)), images()
    adapted = adapt(network, STEPS, leak="channel", batch=values)
    assert adapted.body.neuron is adapted.body.also
    assert adapted.body.neuron.leak.shape == (STEPS, 6)
    assert torch.equal(adapted(values), network(values))
    uneven = SpikingNetwork(Twice((6, 12)), encoder=Direct(time_steps=STEPS))
    assert torch.equal(adapt(uneven, STEPS)(values), uneven(values))
    message = r"one number of channels at 'body.neuron', .* it took units of shapes \[\(6,\), \(12,\)\]\. Pass 'layer'"
    with pytest.raises(ValueError, match=message):
        adapt(uneven, STEPS, leak="channel", batch=values)


def test_shared_weights_stay_shared() -> None:
    tied = nn.Linear(6, 6)
    body = nn.Sequential(OverTime(nn.Linear(3, 6)), eager(), OverTime(tied), eager(), OverTime(nn.Flatten(), tied))
    adapted = adapt(body, STEPS)
    assert adapted[4][1].layer.weight is adapted[2][0].weight
    assert torch.equal(adapted(train := torch.rand(STEPS, 8, 3) * 4), body(train))


def test_settings_per_channel_are_kept_and_need_no_batch() -> None:
    decay, threshold = torch.rand(6), 0.2 + torch.rand(6)
    for neuron in (LIF(decay=decay, threshold=threshold, decay_input=True), LIF(decay=decay, learn_decay=True)):
        body = nn.Sequential(OverTime(nn.Linear(3, 6)), neuron, OverTime(nn.Linear(6, 2)))
        train = torch.rand(STEPS, 8, 3) * 4
        for grain in ("channel", "fixed"):
            adapted = adapt(body, STEPS, leak=grain, gain=grain)
            assert adapted[1].leak.shape == (STEPS, 6)
            assert torch.equal(adapted(train), body(train))
    # A threshold per channel alone says how many there are, and does not keep leaks from being one per layer.
    body = nn.Sequential(OverTime(nn.Linear(3, 6)), LIF(threshold=threshold), OverTime(nn.Linear(6, 2)))
    for grain, shape in (("channel", (STEPS, 6)), ("layer", (STEPS,)), ("fixed", (STEPS,))):
        adapted = adapt(body, STEPS, leak=grain, gain=grain)
        assert adapted[1].leak.shape == adapted[1].gain.shape == shape
        assert torch.equal(adapted(train), body(train))


def test_tokens_keep_the_shape_of_their_settings() -> None:
    neuron = LIF(threshold=torch.tensor([[0.3, 0.5, 1.0]]))  # tokens [batch, N, 3]
    body = nn.Sequential(OverTime(nn.Linear(3, 3)), neuron, OverTime(nn.Linear(3, 2)))
    adapted, train = adapt(body, STEPS, leak="channel"), torch.rand(STEPS, 8, 5, 3) * 3
    assert adapted[1].leak.shape == (STEPS, 1, 3)
    assert adapted[1].gain.shape == (STEPS,)
    assert torch.equal(adapted(train), body(train))


def test_a_subclass_that_only_sets_things_up_is_a_host() -> None:
    class Slow(LIF):
        def __init__(self) -> None:
            super().__init__(decay=0.9)

    body = nn.Sequential(OverTime(nn.Linear(3, 6)), Slow(), OverTime(nn.Linear(6, 2)))
    assert adapt(body, STEPS)[1].leak.unique().tolist() == [pytest.approx(0.9)]


def test_hybrid_blocks_take_neurons_and_keep_their_analog_readout() -> None:
    network, values = has_resnet(width=4, branches="snn", stem="cifar").eval(), torch.rand(2, 3, 8, 8)
    adapted = adapt(network, 8, readout="fixed")
    assert torch.equal(adapted(values), network(values))
    assert sum(isinstance(neuron, AdaptiveLIF) for neuron in neurons_of(adapted).values()) > 8


def test_a_converted_network_is_a_host_and_streams() -> None:
    ann = nn.Sequential(nn.Linear(6, 12), nn.ReLU(), nn.Linear(12, 8), nn.ReLU(), nn.Linear(8, 3)).eval()
    values = torch.rand(16, 6) * 2
    network = convert(ann, values, neuron=lambda site: LIF(threshold=site.threshold), time_steps=STEPS).model
    adapted = adapt(network, STEPS, readout="fixed")
    with torch.no_grad():
        assert torch.equal(adapted(values), network(values))
        state, steps = None, []
        varied(adapted)
        for _ in range(STEPS):
            step, state = adapted.step(values, state)
            steps.append(step)
        assert torch.equal(torch.stack(steps), adapted.train_out(values))
        with pytest.raises(ValueError, match=r"AdaptiveLIF '.*' expects at most 4 steps"):
            adapted.step(values, state)
        with pytest.raises(ValueError, match=r"AdaptiveLIF '.*' expects a train \[time=4, .* whose leading axis is 5"):
            adapted(values, time_steps=5)


# --- stems and readouts --------------------------------------------------------------------------------------


@every_host
def test_a_hybrid_code_gets_a_stem_for_step_0_that_starts_as_the_other(host: str) -> None:
    network, values = spiking(host, double=True), images(host).double()
    adapted, shared = (adapt(network, STEPS, encoder=Hybrid(time_steps=STEPS), stem=stem) for stem in ("own", "shared"))
    stems = [module for module in adapted.modules() if isinstance(module, HybridStem)]
    assert len(stems) == 1
    assert not any(isinstance(module, HybridStem) for module in shared.modules())
    stem = stems[0]
    pairs = zip(stem.first.state_dict().items(), stem.rest.state_dict().items(), strict=True)
    assert all(mine == theirs and torch.equal(a, b) and a is not b for (mine, a), (theirs, b) in pairs)
    torch.testing.assert_close(adapted(values), shared(values))
    train = adapted.encoder(values)
    before = stem(train)
    with torch.no_grad():
        stem.first[0].weight.mul_(-1)
    assert not torch.allclose(stem(train)[0], before[0])
    assert torch.equal(stem(train)[1:], before[1:])


@every_host
@pytest.mark.parametrize(("step", "reached"), [(0, "first"), (2, "rest")])
def test_the_gradient_of_a_step_reaches_its_own_stem_only(host: str, step: int, reached: str) -> None:
    adapted = adapt(spiking(host), STEPS, encoder=Hybrid(time_steps=STEPS)).train()
    stem = next(module for module in adapted.modules() if isinstance(module, HybridStem))
    (stem(adapted.encoder(images(host)))[step] ** 2).sum().backward()
    for name, parameter in stem.named_parameters():
        assert (parameter.grad is not None and bool(parameter.grad.any())) == name.startswith(reached), name


@pytest.mark.parametrize(
    "code", [Direct(time_steps=STEPS), Latency(time_steps=STEPS), Hybrid(Latency(time_steps=2), Latency(time_steps=2))]
)
def test_codes_whose_steps_are_alike_share_the_stem(code: nn.Module) -> None:
    adapted = adapt(spiking("lenet_cifar"), STEPS, encoder=code)
    assert not any(isinstance(module, HybridStem) for module in adapted.modules())
    assert type(adapted.encoder) is type(code)
    assert adapted.encoder is not code


def test_an_encoder_within_a_class_of_ones_own_is_replaced() -> None:
    network = nn.Sequential(Direct(time_steps=STEPS), OverTime(nn.Linear(3, 6)), eager(), OverTime(nn.Linear(6, 2)))
    adapted = adapt(network, STEPS, encoder=Hybrid(time_steps=STEPS))
    assert [type(module) for module in adapted] == [Hybrid, HybridStem, AdaptiveLIF, StepReadout]
    values = torch.rand(5, 3)
    assert torch.equal(adapted(values), adapted[1:](Hybrid(time_steps=STEPS)(values)))


def test_what_follows_the_last_linear_is_scaled_with_it() -> None:
    layers = [nn.Conv2d(3, 2, 1), nn.AdaptiveAvgPool2d(1), nn.Flatten()]
    body = nn.Sequential(OverTime(nn.Conv2d(3, 3, 1)), eager(), OverTime(*layers))
    adapted, train = adapt(body, STEPS), torch.rand(STEPS, 2, 3, 4, 4) * 3
    assert torch.equal(adapted(train), body(train))
    with torch.no_grad():
        adapted[2].scale.copy_(torch.eye(STEPS)[1])
    assert torch.equal(adapted(train)[1], body(train)[1])
    assert not adapted(train)[[0, 2, 3]].any()


def test_norms_with_settings_per_step_stay() -> None:
    body = nn.Sequential(
        OverTime(nn.Linear(3, 6)), StepNorm(6, time_steps=STEPS, mode="per-step"), eager(), OverTime(nn.Linear(6, 2))
    )
    adapted, train = adapt(body, STEPS), torch.rand(STEPS, 8, 3) * 3
    assert torch.equal(adapted(train), body(train))
    assert isinstance(adapted[1], StepNorm)


# --- again, in files, in optimisers, in bfloat16 ---------------------------------------------------------------


def test_what_was_learned_stays_when_switches_change() -> None:
    values = images()
    learned = varied(adapt(spiking("lenet_cifar"), STEPS)).eval()
    for switches in SWITCHES.values():
        again = adapt(learned, STEPS, **switches, batch=values)
        assert torch.equal(again(values), learned(values))
    frozen = adapt(learned, STEPS, **OFF)
    assert not [name for name, _ in frozen.named_parameters() if name.endswith(("leak", "gain", "scale"))]
    fine = varied(adapt(learned, STEPS, leak="channel", gain="channel", readout="class", batch=values)).eval()
    for switches in (OFF, SWITCHES["channel"]):
        assert torch.equal(adapt(fine, STEPS, **switches)(values), fine(values))
    with pytest.raises(
        ValueError, match=r"one leak per step in 'body.activation1', whose AdaptiveLIF has one per chan"
    ):
        adapt(fine, STEPS)
    with pytest.raises(ValueError, match=r"one scale per step; 'body.readout' has learned one per class"):
        adapt(fine, STEPS, leak="channel", gain="channel")


@pytest.mark.parametrize("switches", ["layer", "channel"])
def test_learned_settings_go_through_a_file(switches: str) -> None:
    network, values = spiking("sew-add"), images()
    trained = varied(adapt(network, STEPS, **SWITCHES[switches], encoder=Hybrid(time_steps=STEPS), batch=values))
    file = io.BytesIO()
    torch.save(trained.state_dict(), file)
    file.seek(0)
    fresh = adapt(spiking("sew-add"), STEPS, **SWITCHES[switches], encoder=Hybrid(time_steps=STEPS), batch=values)
    assert not torch.equal(fresh(values), trained(values))
    fresh.load_state_dict(torch.load(file, weights_only=True))
    assert torch.equal(fresh(values), trained(values))


@every_switch
def test_settings_per_step_never_decay(switches: dict[str, str]) -> None:
    adapted = adapt(spiking("spikformer"), STEPS, **switches, batch=images())
    decaying, steady = parameter_groups(adapted)
    named = {id(parameter): name for name, parameter in adapted.named_parameters()}
    of_steps = {name for name in named.values() if name.rpartition(".")[2] in ("leak", "gain", "scale")}
    assert not of_steps & {named[id(parameter)] for parameter in decaying["params"]}
    assert of_steps <= {named[id(parameter)] for parameter in steady["params"]}
    assert len(decaying["params"]) > 5


@pytest.mark.parametrize("host", ["sew-add", "spikformer", "lenet_cifar"])
def test_membranes_stay_wide_inside_autocast(host: str) -> None:
    adapted, seen = varied(adapt(spiking(host), STEPS)), []

    def look(neuron: AdaptiveLIF, args: tuple[torch.Tensor, ...], train: torch.Tensor) -> None:
        seen.append((args[0].dtype, train.dtype, run(neuron, args[0])[1].membrane.dtype))

    for neuron in neurons_of(adapted).values():
        neuron.register_forward_hook(look)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.isfinite(adapted(images(host))).all()
    assert {(train, membrane) for _, train, membrane in seen} == {(torch.float32, torch.float32)}
    assert torch.bfloat16 in {currents for currents, _, _ in seen}


def test_a_network_in_float64_stays_in_it() -> None:
    adapted = adapt(spiking("lenet_cifar", double=True), STEPS)
    assert {parameter.dtype for parameter in adapted.parameters()} == {torch.float64}
    adapted(images().double()).sum().backward()
    assert all(neuron.gain.grad is not None for neuron in neurons_of(adapted).values())


def test_another_time_is_refused_where_it_comes_in() -> None:
    network = spiking("lenet_cifar")
    with pytest.raises(ValueError, match=r"AdaptiveLIF 'activation1' expects T = 4, .* got time_steps=6"):
        SpikingNetwork(adapt(network, STEPS).body, encoder=Direct(time_steps=6))
    adapted = adapt(network, STEPS)
    fixed = r"AdaptiveLIF 'activation1' has settings for 4 steps and takes no other T: encode with time_steps=4, or bui"
    with pytest.raises(ValueError, match=rf"'stem' expects .* whose leading axis is 5.* first; {fixed}"):
        adapted.body(images().expand(5, 4, 3, 16, 16))
    part = declare_time(adapted.body.layer2, time_steps=4)  # without what takes no other T
    with pytest.raises(ValueError, match=r"; if T has changed, declare_time\(network, time_steps=5\)"):
        part(torch.rand(5, 4, 32, 8, 8))
    with pytest.raises(
        ValueError, match=r"AdaptiveLIF 'activation1' expects a train \[time=4, .* it with time_steps=6"
    ):
        adapted.body.activation1(torch.zeros(6, 2, 3))
    bare = adapt(Own(), STEPS, readout="fixed")
    with pytest.raises(ValueError, match=r"'sees' expects a train \[time=4"):
        bare(images().expand(6, 4, 3, 16, 16))
