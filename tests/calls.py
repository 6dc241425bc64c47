"""A small call of every function that a notebook exported: what tests of the whole API run.

Each takes `t`, which puts a float64 tensor where a test wants it: in another precision, on another
device. Small, and without a meaning: what comes out right is tested chapter by chapter.
"""

from functools import partial
from itertools import islice

import numpy as np
import torch
from torch.optim.lr_scheduler import ConstantLR

from course_utils.built import drsae, groups, ista, lista, local, vae
from course_utils.data import Labelled

SHEET = local.Sheet(image=9, field=4, per=2, tile=(4, 4))
RATES = {"log": 1e-3, "We": 1e-3, "S": 1e-3}
CLASSES = torch.arange(20) % 3  # of the rows of x()


def rng(seed=0):
    return np.random.default_rng(seed)


def normal(*shape, seed=1):
    return torch.from_numpy(rng(seed).standard_normal(shape))


def x():
    return normal(20, 16)


def z():
    return normal(20, 24, seed=2)


def Wd():
    return ista.unit_columns(normal(16, 24, seed=3))


def pools(t):
    return groups.torus_pools(4, 6, t(groups.gaussian_window(3, 1.0).double()))


def apart(t):
    return groups.line_pools(24, t(torch.ones(3).double()), 3)


def images():
    return normal(3, SHEET.image**2, seed=4)


def sheet_codes():
    return normal(3, SHEET.units, seed=5)


def local_filters():
    return ista.unit_columns(normal(SHEET.field**2, SHEET.units, seed=6))


def packed(t):
    return local.pack(t(local_filters()), SHEET)


def sheet_pools(t):
    order = torch.from_numpy(rng(7).permutation(SHEET.units))
    return local.SheetPools(SHEET.side, t(torch.ones(3).double()), order)


def field(t):
    return torch.complex(t(normal(8, 8, seed=8)), t(normal(8, 8, seed=9)))


def by_name(net):
    """The parameters of a network, in order, to compare after training."""
    return [p.detach() for p in net.parameters()]


# --- chapter 1
def ista_calls(t):
    price = t(torch.full((20, 1), 0.3).double())
    return {
        "guard": lambda: ista.guard(t(x()), t(Wd()), price, t(z())),
        "energy": lambda: ista.energy(t(x()), t(z()), t(Wd()), price),
        "shrink": lambda: ista.shrink(t(z()), 0.3),
        "lipschitz": lambda: ista.lipschitz(t(Wd())),
        "ista_iterates": lambda: list(islice(ista.ista_iterates(t(x()), t(Wd()), 0.3), 3)),
        "ista": lambda: ista.ista(t(x()), t(Wd()), price, 5),
        "lambda_max": lambda: ista.lambda_max(t(x()), t(Wd())),
        "omp": lambda: ista.omp(t(x()), ista.unit_columns(t(Wd())), 3, 0.1),
        "kkt_violation": lambda: ista.kkt_violation(t(x()), t(z()), t(Wd()), price),
        "duality_gap": lambda: ista.duality_gap(t(x()), t(z()), t(Wd()), price),
        "fista_iterates": lambda: list(islice(ista.fista_iterates(t(x()), t(Wd()), 0.3), 3)),
        "fista": lambda: ista.fista(t(x()), t(Wd()), price, 5, prox=ista.shrink_nonneg),
        "shrink_nonneg": lambda: ista.shrink_nonneg(t(z()), price),
        "unit_columns": lambda: ista.unit_columns(t(Wd())),
        "decoder_step": lambda: ista.decoder_step(t(Wd()), t(x()), t(z())),
        "dictionary_step": lambda: ista.dictionary_step(t(Wd()), t(x()), 0.3)[0],
        "learn_dictionary": lambda: ista.learn_dictionary(t(normal(300, 16)), 8, 0.3, 2, rng())[0],
        "orientation_moment": lambda: ista.orientation_moment(t(Wd()), 4),
        "orientation_selectivity": lambda: ista.orientation_selectivity(t(Wd()), 4),
        "nonneg_unit_columns": lambda: ista.nonneg_unit_columns(t(Wd())),
        "greedy_step": lambda: ista.greedy_step(
            t(z()), t(z()), t(z()), t(normal(24, 24) / 24), 0.3
        ),
        "certified_codes": lambda: ista.certified_codes(t(x()), t(Wd()), 1e-3),
        "sparse_codes": lambda: ista.sparse_codes(t(x()), t(Wd()), price),
        "code_bits": lambda: ista.code_bits(t(z()), 0.5),
    }


# --- chapter 2
def lista_calls(t):
    def codes(net):
        return net(t(x()))

    def trained(net, loss):
        lista.train(net, loss, iter([(t(x()), t(z()))] * 2), 2, RATES)
        return by_name(net)

    deep = {"Wd": t(Wd()), "lmbd": 0.3, "depth": 3}
    theta = t(torch.rand(24, generator=torch.Generator().manual_seed(1)).double())
    return {
        "layer": lambda: lista.layer(t(x()), t(z()), t(Wd()).T, t(normal(24, 24)), theta),
        "coupled_layer": lambda: lista.coupled_layer(t(x()), t(z()), t(Wd()).T, t(Wd()), theta),
        "Network": lambda: lista.step_lista(**deep).codes(t(x()), 5),
        "shrink_keeping": lambda: lista.shrink_keeping(t(z()), theta, 2),
        "ista_matrices": lambda: lista.ista_matrices(t(Wd())),
        "first_log_theta": lambda: lista.first_log_theta(t(Wd()), 0.3, 3, 1),
        "lista": lambda: codes(lista.lista(**deep)),
        "lista_thetas": lambda: codes(lista.lista_thetas(**deep)),
        "lista_untied": lambda: codes(lista.lista_untied(**deep)),
        "lista_cp": lambda: codes(lista.lista_cp(**deep)),
        "step_thetas": lambda: codes(lista.step_thetas(**deep)),
        "step_lista": lambda: codes(lista.step_lista(**deep)),
        "analytic_weights": lambda: lista.analytic_weights(t(Wd())),
        "alista": lambda: codes(lista.alista(**deep)),
        "with_selection": lambda: codes(lista.with_selection(lista.lista_cp(**deep), 0.1, 0.3)),
        "coupling": lambda: lista.coupling(t(Wd()), t(normal(*Wd().T.shape)), t(normal(24, 24))),
        "as_coupled": lambda: codes(lista.as_coupled(lista.alista(**deep))),
        "as_untied": lambda: codes(lista.as_untied(lista.lista_cp(**deep))),
        "parameter_count": lambda: lista.parameter_count(lista.lista(**deep)),
        "amp_iterates": lambda: list(islice(lista.amp_iterates(t(x()), t(Wd()), 1.1), 4)),
        "amp": lambda: lista.amp(t(x()), t(Wd()), 1.1, 4),
        "fista_falling": lambda: lista.fista_falling(t(x()), t(Wd()), 1.0, 0.8, 0.8, 4),
        "shrink_risk": lambda: lista.shrink_risk(1.2, 0.4, 0.3),
        "state_evolution": lambda: lista.state_evolution(20, 24, 1.1, 4),
        "firm": lambda: lista.firm(t(z()), theta[:20, None], t(torch.tensor(1.5).double())),
        "LearnedAmp": lambda: lista.LearnedAmp(t(Wd()), 3)(t(x())),
        "conditioned": lambda: t(lista.conditioned(20, 24, 10.0, rng()).double()),
        "refit": lambda: lista.refit(t(x()), t(z()), t(Wd())),
        "code_loss": lambda: lista.code_loss(lista.lista(**deep), t(x()), t(z())).detach(),
        "energy_loss": lambda: trained(lista.lista(**deep), lista.energy_loss(0.3)),
        "train": lambda: trained(lista.lista(**deep), lista.code_loss),
        "synthetic_pairs": lambda: next(lista.synthetic_pairs(t(Wd()), 5, rng(), 20.0)),
        "nmse_db": lambda: lista.nmse_db(t(z()), t(normal(20, 24))),
        "alternating": lambda: codes(lista.alternating(lista.step_thetas(**deep))),
    }


# --- chapter 3
def drsae_calls(t):
    weights = {"reconstruction": 1.0, "sparsity": 0.1, "classification": 1.0}
    classes = t(CLASSES)

    def net():
        made = drsae.DrSAE(t(Wd()), 0.3, 3, 3)
        made.Wc.data += t(normal(3, 24))
        return made

    def held():
        made = net()
        drsae.hold(made, drsae.BOUNDS)
        return by_name(made)

    def shortened():
        W = t(normal(5, 6))
        drsae.shorten(W, 0.5, 0)
        return W

    def stepped():
        made = net()
        sgd = torch.optim.SGD(made.parameters(), 1e-3)
        step = drsae.learning_step(sgd, ConstantLR(sgd), weights, drsae.BOUNDS)
        return by_name(step(made, (t(x()), classes))[0])

    def trained(learn):
        made = net()
        learn(made, iter([(t(x()), classes)] * 2), 2, weights)
        return by_name(made)

    return {
        "DrSAE": lambda: net().codes(t(x())),
        "evidence": lambda: drsae.evidence(t(z()), t(normal(3, 24))),
        "criteria": lambda: drsae.criteria(net(), t(x()), t(z()), classes),
        "shorten": shortened,
        "hold": held,
        "noisy_images": lambda: drsae.noisy_images(t(x()), 24, rng()),
        "longest_step": lambda: drsae.longest_step(t(Wd()), 3),
        "of_pair": lambda: drsae.of_pair(net(), (t(x()), classes)),
        "learning_step": stepped,
        "descend": lambda: trained(drsae.descend),
        "train": lambda: trained(drsae.train),
        "error_percent": lambda: drsae.error_percent(net(), t(x()), classes, 7),
        "slope_norms": lambda: drsae.slope_norms(net(), t(x()), classes, weights),
        "unit_angles": lambda: drsae.unit_angles(net()),
        "ista_likeness": lambda: drsae.ista_likeness(net()),
        "unit_shares": lambda: drsae.unit_shares(net()),
    }


# --- chapter 4
def groups_calls(t):
    # Pools as they are made, float32 on the CPU, serve every precision and device.
    made = groups.torus_pools(4, 6, groups.gaussian_window(3, 1.0))
    disjoint = groups.line_pools(24, torch.ones(3), 3)
    problem = {"x": t(x()), "Wd": t(Wd()), "lmbd": 0.3, "pools": made}

    def encoder():
        return groups.Predictor(t(Wd()))

    def stepped():
        g = encoder()
        sgd = torch.optim.SGD(g.parameters(), 1e-3)
        groups.encoder_step(g(t(x())), t(z()), sgd, 1.0)
        return by_name(g)

    def predicted():
        g = encoder()
        state = t(Wd()), g, torch.optim.SGD(g.parameters(), 1e-3)
        return groups.predictive_step(state, t(x()), 0.3, made)[0][0]

    def learned():
        Wd, g, _ = groups.learn_predictive(t(normal(300, 16)), made, 0.3, 2, rng())
        return Wd, by_name(g)

    return {
        "listed_pools": lambda: groups.pool_norms(t(z()), groups.listed_pools([[0, 1]], 24)),
        "line_pools": lambda: apart(t),
        "ring_pools": lambda: groups.ring_pools(8, t(torch.ones(3).double())),
        "torus_pools": lambda: pools(t),
        "gaussian_window": lambda: groups.pool_norms(t(z()), made),
        "root": lambda: groups.root(t(z()).square()),
        "pool_norms": lambda: groups.pool_norms(t(z()), pools(t)),
        "group_guard": lambda: groups.group_guard(**problem),
        "group_energy": lambda: groups.group_energy(z=t(z()), **problem),
        "group_shrink": lambda: groups.group_shrink(t(z()), 0.3, disjoint),
        "group_kkt_violation": lambda: groups.group_kkt_violation(
            z=t(z()), **problem | {"pools": disjoint}
        ),
        "rounded_energy": lambda: groups.rounded_energy(z=t(z()), eps=0.1, **problem),
        "majoriser_weights": lambda: groups.majoriser_weights(t(z()), 0.3, made, 0.1),
        "pooled_iterates": lambda: list(islice(groups.pooled_iterates(**problem, eps=0.1), 3)),
        "with_momentum": lambda: groups.with_momentum(lambda y: 0.5 * y, t(z()), 3),
        "pooled_codes": lambda: groups.pooled_codes(**problem, steps=5, guess=t(z()), alpha=1.0),
        "Predictor": lambda: encoder()(t(x())),
        "encoder_step": stepped,
        "predictive_step": predicted,
        "learn_predictive": learned,
        "orientations": lambda: groups.orientations(t(Wd()), 4),
        "orientation_difference": lambda: groups.orientation_difference(
            t(z())[:, :1], t(z())[:, 1]
        ),
        "frequencies": lambda: groups.frequencies(t(Wd()), 4),
        "places": lambda: groups.places(t(Wd()), 4),
        "differences": lambda: groups.differences(t(Wd()), 4),
        "map_smoothness": lambda: groups.map_smoothness(
            groups.differences(t(Wd()), 4)["place"], 4, 6, rng(), 20
        ),
        "count_for_share": lambda: groups.count_for_share(t(z())),
        "unexplained": lambda: groups.unexplained(t(x()), t(z()), t(Wd())),
        "l1_codes_at": lambda: groups.l1_codes_at(t(x()), t(Wd()), 0.3),
        "spread_of": lambda: groups.spread_of(t(z()), made, rng()),
        "shifted_and_turned": lambda: groups.shifted_and_turned(t(normal(3, 64)), 8, 4, 0.5, 10.0),
        "relative_change": lambda: groups.relative_change(t(z()), t(normal(20, 24))),
        "GroupLista": lambda: groups.GroupLista(t(Wd()), 0.3, disjoint, 3)(t(x())),
    }


# --- chapter 5
def local_calls(t):
    a = t(normal(SHEET.side, 3))
    problem = {
        "x": t(images()),
        "W": packed(t),
        "sheet": SHEET,
        "lmbd": 0.3,
        "pools": sheet_pools(t),
    }
    v = t(normal(1, SHEET.units))
    across = t(torch.ones(3).double())

    def encoder():
        return local.LocalPredictor(t(local_filters()), SHEET)

    def state():
        g = encoder()
        return local.LocalState(t(local_filters()), v, g, torch.optim.Adam(g.parameters()))

    def learned():
        batches = iter([t(images())] * 2)
        Wd, g, _ = local.learn_local(batches, SHEET, sheet_pools(t), 0.3, 2, rng())
        return Wd, by_name(g)

    by = {"x": t(images()), "Wd": t(local_filters()), "sheet": SHEET}
    back = {"z": t(sheet_codes()), "Wd": t(local_filters()), "sheet": SHEET}
    pair = t(images()), t(sheet_codes()), SHEET
    return {
        "Sheet": lambda: local.pack(t(local_filters()), SHEET),
        "fields": lambda: t(images())[:, local.fields(SHEET)],
        "analysis_by_fields": lambda: local.analysis_by_fields(**by),
        "synthesis_by_fields": lambda: local.synthesis_by_fields(**back),
        "gradient_by_fields": lambda: local.gradient_by_fields(*pair),
        "whole_matrix": lambda: local.whole_matrix(t(local_filters()), SHEET),
        "shifts": lambda: list(local.shifts(t(images()), SHEET)),
        "at_places": lambda: local.at_places(t(sheet_codes()), SHEET),
        "analysis_by_offsets": lambda: local.analysis_by_offsets(**by),
        "synthesis_by_offsets": lambda: local.synthesis_by_offsets(**back),
        "gradient_by_offsets": lambda: local.gradient_by_offsets(*pair),
        "image_guard": lambda: local.image_guard(t(images()), SHEET),
        "code_guard": lambda: local.code_guard(t(sheet_codes()), SHEET),
        "windows": lambda: local.windows(t(images()), SHEET),
        "to_tiles": lambda: local.to_tiles(t(sheet_codes()), SHEET),
        "from_tiles": lambda: local.from_tiles(local.to_tiles(t(sheet_codes()), SHEET), SHEET),
        "slots": lambda: local.slots(packed(t), SHEET).clone(),
        "pack": lambda: packed(t),
        "unpack": lambda: local.unpack(packed(t), SHEET),
        "analysis": lambda: local.analysis(t(images()), packed(t), SHEET),
        "synthesis": lambda: local.synthesis(t(sheet_codes()), packed(t), SHEET),
        "weight_gradient": lambda: local.weight_gradient(*pair),
        "SheetPools": lambda: local.over_pools(t(sheet_codes()), sheet_pools(t)),
        "slide": lambda: local.slide(a, across),
        "slide_back": lambda: local.slide_back(a, across),
        "over_pools": lambda: local.over_pools(t(sheet_codes()), sheet_pools(t)),
        "over_units": lambda: local.over_units(
            local.over_pools(t(sheet_codes()), sheet_pools(t)), sheet_pools(t)
        ),
        "largest_eigenvalue": lambda: local.largest_eigenvalue(lambda v: 2 * v, v),
        "sheet_lipschitz": lambda: local.sheet_lipschitz(packed(t), SHEET, v),
        "local_guard": lambda: local.local_guard(**problem),
        "local_energy": lambda: local.local_energy(z=t(sheet_codes()), **problem),
        "local_codes": lambda: local.local_codes(**problem, steps=4, L=9.0),
        "neighbourhood_bound": lambda: local.neighbourhood_bound(t(sheet_codes()), SHEET),
        "Analysis": lambda: local.Analysis.apply(t(images()), t(local_filters()), SHEET),
        "LocalPredictor": lambda: encoder()(t(images())),
        "LocalState": lambda: state().Wd,
        "own_filters": lambda: local.own_filters(t(local_filters())),
        "local_step": lambda: local.local_step(state(), t(images()), 0.3, sheet_pools(t))[0].Wd,
        "learn_local": learned,
        "sheet_smoothness": lambda: local.sheet_smoothness(t(normal(64)), 8, rng(), 20),
        "smoothed": lambda: local.smoothed(field(t), 1.0),
        "pinwheels": lambda: local.pinwheels(field(t)),
        "column_spacing": lambda: local.column_spacing(field(t)),
        "faded": lambda: local.faded(field(t)),
        "pinwheel_density": lambda: local.pinwheel_density(field(t)),
        "surrogate": lambda: local.surrogate(field(t), rng()),
        "centres": lambda: local.centres(t(local_filters()), SHEET),
        "shared_filters": lambda: local.shared_filters(t(local_filters()), SHEET),
    }


# --- chapter 6
def vae_calls(t):
    kind = t(x())
    classes = t(CLASSES)

    def net(cls, outputs):
        encoder = vae.network(16, 10, outputs, rng())
        return placed(cls(encoder, vae.network(6, 10, 16, rng()), 6), kind)

    def batch():
        return vae.Batch(t(x()), classes, t(normal(20, 6)))

    def trained():
        made = net(vae.Vae, 12)
        weights = {"reconstruction": 1.0, "rate": 1.0}
        vae.learn(made, vae.vae_criteria, iter([batch()] * 2), 2, weights)
        return by_name(made)

    def drawn():
        labelled = Labelled(t(x()), classes)
        return next(vae.batches(Labelled(t(x()), classes), labelled, 4, 6, rng()))

    mean, s = t(normal(20, 6)), t(normal(20, 6, seed=2)).exp()
    q = vae.rounded(t(z()), 0.5)
    variances = t(normal(16)).square()
    bill = partial(vae.water_filling, variances)
    return {
        "Batch": batch,
        "affine": lambda: placed(vae.affine(16, 6, rng()), kind)(t(x())),
        "network": lambda: placed(vae.network(16, 10, 6, rng()), kind)(t(x())),
        "AutoEncoder": lambda: net(vae.AutoEncoder, 6).rebuild(t(x())),
        "readings": lambda: vae.readings(net(vae.AutoEncoder, 6), t(normal(20, 6)), batch()),
        "plain_criteria": lambda: vae.plain_criteria(net(vae.AutoEncoder, 6), batch()),
        "learn": trained,
        "batches": drawn,
        "SparseAutoEncoder": lambda: net(vae.SparseAutoEncoder, 6)(t(x())),
        "sparse_criteria": lambda: vae.sparse_criteria(net(vae.SparseAutoEncoder, 6), batch()),
        "gaussian_rate": lambda: vae.gaussian_rate(mean, s.log()),
        "reparametrise": lambda: vae.reparametrise(mean, s.log(), t(normal(20, 6, seed=3))),
        "Vae": lambda: net(vae.Vae, 12)(t(x())),
        "vae_criteria": lambda: vae.vae_criteria(net(vae.Vae, 12), batch()),
        "expected_l1": lambda: vae.expected_l1(mean, s),
        "marginal_energy": lambda: vae.marginal_energy(t(x()), t(z()), t(z()).exp(), t(Wd()), 0.3),
        "laplace_rate": lambda: vae.laplace_rate(mean, s.log()),
        "laplace_criteria": lambda: vae.laplace_criteria(net(vae.Vae, 12), batch()),
        "CodeTables": lambda: vae.code_tables(q),
        "rounded": lambda: q,
        "code_tables": lambda: vae.code_tables(q),
        "table_bits": lambda: vae.table_bits(q, vae.code_tables(q)),
        "water_filling": lambda: bill(0.3),
        "bits_at": lambda: vae.bits_at(bill, 2.0, 9.0),
        "gaussian_bits": lambda: vae.gaussian_bits(variances, 2.0),
        "contrast_point": lambda: vae.contrast_point(t(normal(200, 16)), t(x()), [0.5], 0.1),
        "noisy_point": lambda: vae.noisy_point(
            net(vae.Vae, 12), vae.gaussian_rate, t(x()), t(normal(20, 6))
        ),
        "sparse_point": lambda: vae.sparse_point(t(z()), t(z()), t(x()), t(Wd()), 0.5),
    }


def placed(net, like):
    """Move a network to the precision and the device of a tensor."""
    for module in net.modules():
        for name, p in module.named_parameters(recurse=False):
            setattr(module, name, torch.nn.Parameter(p.detach().to(like)))
    return net


CALLS = {
    ista: ista_calls,
    lista: lista_calls,
    drsae: drsae_calls,
    groups: groups_calls,
    local: local_calls,
    vae: vae_calls,
}
