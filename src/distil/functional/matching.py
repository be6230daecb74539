"""GRAD-MATCH: subsets whose gradients add up to a target gradient.

Gradients are ``Features``: factored rows a_i h_i^T are used only through inner products, weighted sums and projections, so no
array of N x C x D numbers is made. Sums that decide between rows are compared in the precision of the rows and, where
rounding could change the order, computed again in float64; ties then go to the smaller row.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

from distil.functional.budgets import class_budgets
from distil.functional.features import BLOCK_BYTES, EXACT_ROUNDING, EXACT_TIE, Features, Grouped, Outer, at_one_scale
from distil.functional.scale import number_times_two_to, times_two_to

Match = Callable[[Features, Tensor, int], tuple[Tensor, Tensor]]
"""A function ``match(atoms, mean, n)`` that returns n distinct rows of the atoms that match a mean gradient, and their weights."""

# Rounding error of a sum of products, in units of the precision times the product of the operands' norms.
ROUNDING = 8

# The pursuit stores columns of the Gram matrix up to this many bytes; above that, it computes correlations as projections.
_GRAM_BYTES = 256 << 20

# Inner products with one row multiply a matrix by a vector, which memory speed limits: with this many rows they take little longer.
# On one core it won 54 against 63 ms (GradMatch, 200 of 10,000 rows of 256 numbers, 10 classes). Delete it, with the slots that
# keep the columns, where 1 is as fast.
_AHEAD = 8

# Columns computed ahead are kept up to this many bytes.
_AHEAD_BYTES = 32 << 20


# --- gradient matching --------------------------------------------------------------------------------------------------


def fixed_weight_matching(x: Features, target: Tensor, n: int, *, taken: Tensor | None = None) -> Tensor:
    """Pick rows one by one so that their sum comes near a target: greedy minimization of || sum_{i in S} g_i - target ||.

    The form of GRAD-MATCH (Killamsetty et al. 2021, ICML) with fixed weights, for active learning, where every labeled example
    counts once; the target is then n times a mean gradient. Each pick minimizes the new residual r - g_j, that is, maximizes
    2 <g_j, r> - |g_j|^2. DISTIL's published code omits |g_j|^2 and uses the full sum, N/n times as long, as its target, so it
    picks nearly the n largest projections; both are corrected here. Picking continues after no row lowers the error any more.

    Args:
        x: N rows.
        target: The target, in the shape of one row.
        n: Number of rows to pick, at most the number of rows not taken.
        taken: Rows picked before, (m,): they count in the sum and are not picked again. Default: none.

    Returns:
        (n,) distinct rows in pick order; ties go to the smaller row.

    Cost: O(N n) inner products, O(N (C + D)) a pick for factored rows; memory of O(N).

    >>> from distil.functional.features import Dense
    >>> x = Dense(torch.tensor([[1.0, 0.0], [0.0, 1.0], [3.0, 3.0]]))
    >>> fixed_weight_matching(x, torch.tensor([1.0, 1.0]), 2).tolist()
    [0, 1]
    """
    (x,), e = at_one_scale(x)
    greedy = _UnitWeights(
        x, times_two_to(target.double(), -e), torch.empty(0, dtype=torch.long) if taken is None else taken
    )
    picks: list[int] = []
    while len(picks) < n:
        if picks:
            greedy.add(picks[-1])
        picks.append(greedy.best())
    return torch.tensor(picks, dtype=torch.long)


def orthogonal_matching_pursuit(
    x: Features, target: Tensor, n: int, *, ridge: float = 0.5, tol: float = 1e-4
) -> tuple[Tensor, Tensor]:
    """Pick rows with non-negative weights so that sum_i w_i g_i comes near a target: GRAD-MATCH's orthogonal matching pursuit.

    Killamsetty et al. 2021 (ICML), algorithm 2: pick the row of largest inner product with the residual, then solve
    min_{w >= 0} || sum_{i in S} w_i g_i - target ||^2 + ridge |w|^2 over all picks S, and repeat. As in the paper, rows are not
    normalized. The pursuit ends early once the residual is at most ``tol |target|`` or no row left has a positive inner product
    with it. The remaining picks are then those of ``fixed_weight_matching`` for n / N times the target, with weight 0, so that
    the weights stay the solution of the problem above. A row whose weight later falls to 0 stays picked.

    Deliberate differences from the published code: the ridge problem is solved on [A; sqrt(ridge) I], not as least squares on its
    normal equations; no row is picked twice; the remaining picks are not random.

    Args:
        x: N rows.
        target: The target, in the shape of one row; in the paper, the sum of all N rows.
        n: Number of rows to pick, at most N.
        ridge: The penalty on |w|^2, at least 0.
        tol: Norm of the residual, relative to the target's, at which the pursuit ends.

    Returns:
        (n,) distinct rows in pick order, and their weights (n,), at least 0, in the precision of the rows.

    Cost: O(N (C + D + n)) a pick and O(n^2) for its weights, or O(n^3) for picks whose unconstrained solution has a negative
    weight. Memory: n columns of N numbers up to a fixed bound; above it O(N), with O(N C D) time a pick.
    """
    dtype = _nothing(x).dtype
    (x,), e = at_one_scale(x)
    target = times_two_to(target.double(), -e)
    pursuit = _Pursuit(x, target, n, number_times_two_to(ridge, -2 * e))
    while len(pursuit.picks) < n and pursuit.error > tol * pursuit.aim:
        row = pursuit.best()
        if row is None:
            break
        pursuit.add(row)
    rows = torch.tensor(pursuit.picks, dtype=torch.long)
    if len(rows) < n:
        rest = fixed_weight_matching(x, target * (n / len(x)), n - len(rows), taken=rows)
        rows = torch.cat([rows, rest])
    weights = torch.zeros(n, dtype=torch.float64)
    weights[: len(pursuit.picks)] = pursuit.weights()
    return rows, weights.to(dtype)


def unit_weights(atoms: Features, mean: Tensor, n: int) -> tuple[Tensor, Tensor]:
    """The ``Match`` by ``fixed_weight_matching``: n atoms whose sum is near n times the mean, each with weight 1."""
    rows = fixed_weight_matching(atoms, mean * n, n)
    return rows, torch.ones(n, dtype=_nothing(atoms).dtype)


def fitted_weights(
    atoms: Features, mean: Tensor, n: int, *, ridge: float = 0.5, tol: float = 1e-4
) -> tuple[Tensor, Tensor]:
    """The ``Match`` by ``orthogonal_matching_pursuit``: n atoms whose weighted sum is near len(atoms) times the mean.

    ``ridge`` penalizes the squared weights of rows. An atom that is the mean of k rows with weight w gives each of them the weight
    w / k; these squares sum to w^2 / k, so the penalty of its weight is ``ridge / k``.
    """
    if isinstance(atoms, Grouped):
        ridge = ridge * len(atoms) / len(atoms.base)
    return orthogonal_matching_pursuit(atoms, mean * len(atoms), n, ridge=ridge, tol=tol)


def mean_row(x: Features) -> Tensor:
    """The mean of at least one row, in the shape of one row, in float64."""
    one = _nothing(x).double()
    rows = (x[block].double() for block in x.blocks())
    return torch.stack([part.combine(one.new_ones(len(part))) for part in rows]).sum(0) / len(x)


def match_per_class(
    x: Features, y: Tensor, n: int, num_classes: int, match: Match, *, reference: tuple[Features, Tensor] | None = None
) -> tuple[Tensor, Tensor]:
    """Match each class separately: its picks match its mean gradient, with its share of the budget.

    The per-class form of GRAD-MATCH (Killamsetty et al. 2021, ICML). Shares are those of ``class_budgets``.

    Args:
        x: N rows.
        y: The class of each row, (N,) int64, in [0, num_classes).
        n: Number of rows to pick, at most N.
        num_classes: Number of classes C; classes may be without rows.
        match: The algorithm that matches one class.
        reference: Rows of another set and their classes, whose mean gradients are the targets. By default, and for classes that
            the other set does not have, the target is the mean of the class's own rows.

    Returns:
        (n,) distinct rows and their weights (n,); classes take turns in proportion to their shares.
    """
    rows, weights, turns = [], [], []
    for label, budget in enumerate(torch.as_tensor(class_budgets(y, n, num_classes)).tolist()):
        if not budget:
            continue
        members = torch.nonzero(y == label)[:, 0]
        atoms = x[members]
        others = torch.empty(0, dtype=torch.long) if reference is None else torch.nonzero(reference[1] == label)[:, 0]
        mean = mean_row(reference[0][others] if reference is not None and len(others) else atoms)
        picks, found = match(atoms, mean, budget)
        rows.append(members[picks])
        weights.append(found)
        turns.append((torch.arange(budget, dtype=torch.float64) + 0.5) / budget)
    order = torch.cat(turns).argsort(stable=True)
    return torch.cat(rows)[order], torch.cat(weights)[order]


def match_per_batch(
    x: Features, n: int, batch_size: int, match: Match, *, reference: Features | None = None
) -> tuple[Tensor, Tensor]:
    """Match the mean gradients of whole minibatches of consecutive rows, and return their rows in pick order.

    The per-batch form of GRAD-MATCH (Killamsetty et al. 2021, ICML): N / batch_size atoms instead of N. The published code
    returned whole minibatches, more rows than the budget. Here the last picked minibatch is cut to exactly n rows, and one more
    is picked if the pool's short last minibatch is among the picks.

    Args:
        x: N rows.
        n: Number of rows to pick, at most N.
        batch_size: Number of rows in a minibatch; the last may have fewer.
        match: The algorithm that matches the mean gradients.
        reference: Rows of another set whose mean gradient is the target; default: the rows ``x``.

    Returns:
        (n,) distinct rows and their weights (n,). A row has its share of its minibatch's weight: with whole minibatches, the
        gradients weighted by fitted weights sum to about N times the mean.
    """
    groups = torch.arange(len(x), device=_nothing(x).device) // batch_size
    atoms = Grouped(x, groups, int(groups[-1]) + 1)
    mean = mean_row(x if reference is None else reference)
    wanted = -(-n // batch_size)
    picks, found = match(atoms, mean, wanted)
    counts = atoms.counts()
    if int(counts[picks].sum()) < n:
        picks, found = match(atoms, mean, wanted + 1)
    starts = (picks * batch_size).tolist()
    sizes = counts[picks].to(picks.device)
    rows = torch.cat([torch.arange(s, s + k) for s, k in zip(starts, sizes.tolist(), strict=True)])
    weights = found * (len(x) / len(atoms)) / sizes
    return rows[:n], weights.repeat_interleave(sizes)[:n]


class _UnitWeights:
    """The residual of a sum of rows against a target, and the gain of each row left."""

    def __init__(self, x: Features, target: Tensor, taken: Tensor) -> None:
        self._x = x
        sq_norms = exact_sq_norms(x)
        dtype = _nothing(x).dtype
        self._eps = torch.finfo(dtype).eps
        self._norms = sq_norms.sqrt()
        self._residual = target.double()
        self._uncounted = taken.tolist()  # picks that are not yet subtracted from the residual
        self._settle()
        self._gains = project(x, self._residual.to(dtype)).double().mul_(2).sub_(sq_norms)
        self._gains[taken] = -torch.inf
        self._scale = float(target.double().norm()) + float(self._norms[taken].sum()) + float(self._norms.max())
        self._columns = _Columns(x)

    def add(self, row: int) -> None:
        """Add a row to the sum."""
        self._gains.sub_(self._columns.of(row, self._gains), alpha=2)
        self._gains[row] = -torch.inf
        self._uncounted.append(row)
        self._scale += float(self._norms[row])

    def best(self) -> int:
        """The row whose addition leaves the smallest residual."""
        unsure = (2 * ROUNDING * self._eps * self._scale) * self._norms
        return largest(self._gains, unsure, self._exactly)[0]

    def _exactly(self, rows: Tensor) -> tuple[Tensor, Tensor]:
        self._settle()
        exact = 2 * exact_project(self._x, rows, self._residual) - self._norms[rows] ** 2
        return exact, (2 * EXACT_ROUNDING * self._scale) * self._norms[rows]

    def _settle(self) -> None:
        if self._uncounted:
            rows = self._x[torch.tensor(self._uncounted, device=self._residual.device)].double()
            self._residual = self._residual - rows.combine(self._residual.new_ones(len(rows)))
            self._uncounted = []


class _Columns:
    """Inner products of all rows with one row, computed for a few rows at a time that may be needed next."""

    def __init__(self, x: Features) -> None:
        self._x = x
        self._ahead = 1 if isinstance(x, Grouped) else min(_AHEAD, len(x))  # for means, several columns save nothing
        nothing = _nothing(x)
        slots = max(self._ahead, min(len(x), _AHEAD_BYTES // (len(x) * nothing.element_size())))
        self._kept = nothing.new_empty(slots, len(x))
        self._free = list(range(slots))
        self._slots: dict[int, int] = {}

    def of(self, row: int, hopes: Tensor) -> Tensor:
        """The inner products of all rows with one row, (N,); they are not kept after this call.

        Args:
            row: The row.
            hopes: Priorities of the rows, (N,): larger for rows that are likely to be needed later, -inf for the others.
        """
        if row not in self._slots:
            self._make(row, hopes)
        slot = self._slots.pop(row)
        self._free.append(slot)
        return self._kept[slot]

    def _make(self, row: int, hopes: Tensor) -> None:
        rows = [row]
        if self._ahead > 1:
            likely = hopes.topk(self._ahead).indices.tolist()
            rows += [r for r in likely if r != row and r not in self._slots][: self._ahead - 1]
        if len(self._free) < len(rows):
            self._free, self._slots = list(range(len(self._kept))), {}
        slots = [self._free.pop() for _ in rows]
        atoms = self._x[torch.tensor(rows, device=self._kept.device)]
        for slot, column in zip(slots, _products(self._x, atoms), strict=True):
            self._kept[slot] = column
        self._slots.update(zip(rows, slots, strict=True))


class _Pursuit:
    """The state of a matching pursuit: the picks, their weights and the residual."""

    def __init__(self, x: Features, target: Tensor, n: int, ridge: float) -> None:
        self._x = x
        self.dtype = _nothing(x).dtype
        self.picks: list[int] = []
        self._norms = exact_sq_norms(x).sqrt()
        self._target = target.double()
        self._residual = self._target
        self.aim = self.error = float(self._target.norm())
        self._scale = self.aim  # sum of the norms of the residual's terms
        self._at_target = project(x, target.to(self.dtype))
        self._products = self._at_target.double()
        keep = n * len(x) * self._at_target.element_size() <= _GRAM_BYTES
        self._gram = self._at_target.new_empty(n, len(x)) if keep else None
        self._columns = _Columns(x)
        self._solver = RidgeNNLS(n, ridge)

    def weights(self) -> Tensor:
        """The weights of the k picks, (k,) float64 on the CPU."""
        return self._solver.weights

    def best(self) -> int | None:
        """The row of largest inner product with the residual; None if no product is positive."""
        unsure = (ROUNDING * torch.finfo(self.dtype).eps * self._scale) * self._norms
        row, product = largest(self._products, unsure, self._exactly)
        if product <= float(unsure[row]):
            product = float(self._exactly(torch.tensor([row], device=self._norms.device))[0])
        return row if product > EXACT_ROUNDING * self._scale * float(self._norms[row]) else None

    def add(self, row: int) -> None:
        """Pick a row and solve for all weights."""
        if self._gram is not None:
            self._gram[len(self.picks)] = self._columns.of(row, self._products)
        self.picks.append(row)
        taken = self._x[torch.tensor(self.picks, device=self._target.device)].double()
        atom = taken[slice(len(taken) - 1, None)]
        self._solver.append(_products(taken, atom)[0], float(atom.project(self._target)))
        weights = self.weights().to(self._target.device)
        self._residual = self._target - taken.combine(weights)
        self.error = float(self._residual.norm())
        self._scale = self.aim + float(weights @ self._norms[self.picks])
        self._products = self._correlations(weights)
        self._products[self.picks] = -torch.inf

    def _correlations(self, weights: Tensor) -> Tensor:
        if self._gram is None:
            return project(self._x, self._residual.to(self.dtype)).double()
        return (self._at_target - weights.to(self.dtype) @ self._gram[: len(weights)]).double()

    def _exactly(self, rows: Tensor) -> tuple[Tensor, Tensor]:
        exact = exact_project(self._x, rows, self._residual)
        return exact, (EXACT_ROUNDING * self._scale) * self._norms[rows]


class RidgeNNLS:
    """Solver of min_{w >= 0} |A w - b|^2 + ridge |w|^2, for columns of A that are added one by one as inner products.

    Lawson and Hanson's active set method (1974, chapter 23) on [A; sqrt(ridge) I], started from the last solution. The Cholesky
    factor of the columns of positive weight grows with each column, and is computed again only when a weight turns negative.
    All arithmetic is in float64.

    Args:
        n: Largest number of columns.
        ridge: The penalty on |w|^2, at least 0. With 0, a column that depends on columns of positive weight keeps weight 0.
    """

    def __init__(self, n: int, ridge: float) -> None:
        self._ridge = ridge
        self._gram = torch.zeros(n, n, dtype=torch.float64)  # of [A; sqrt(ridge) I]
        self._moments = torch.zeros(n, dtype=torch.float64)
        self._solution = torch.zeros(n, dtype=torch.float64)
        self._factor = torch.zeros(n, n, dtype=torch.float64)
        self._active: list[int] = []  # columns of positive weight in the order of the factor
        self._size = 0

    @property
    def weights(self) -> Tensor:
        """The solution for the k columns so far, (k,) float64."""
        return self._solution[: self._size]

    def append(self, products: Tensor, moment: float) -> None:
        """Add a column of A and solve.

        Args:
            products: Inner products of the column with all columns so far, itself last, (k,).
            moment: Inner product of the column with b.
        """
        k, self._size = self._size, self._size + 1
        self._gram[k, : k + 1] = self._gram[: k + 1, k] = products
        self._gram[k, k] += self._ridge
        self._moments[k] = moment
        barred = torch.zeros(self._size, dtype=torch.bool)  # columns that rounding alone makes look useful
        j: int | None = k  # the new column nearly always helps; if not, it is dropped again
        for _ in range(3 * self._size):
            if j is None:
                return
            if self._enter(j):
                self._descend()
            barred[j] = j not in self._active
            j = self._steepest(barred)

    def _steepest(self, barred: Tensor) -> int | None:
        """The column of weight 0 along which the objective falls most; None if it falls along none."""
        if len(self._active) == self._size:
            return None
        out = barred.clone()
        out[self._active] = True
        gram = self._gram[: self._size, : self._size]
        slopes = (self._moments[: self._size] - gram @ self.weights).masked_fill_(out, -torch.inf)
        j = int(slopes.argmax())
        noise = EXACT_ROUNDING * float(self._moments[j].abs() + gram[j].abs() @ self.weights)
        return j if float(slopes[j]) > noise else None

    def _enter(self, j: int) -> bool:
        """Append column j to the factor and return True; False if j depends on the columns in the factor."""
        k, active = len(self._active), torch.tensor(self._active, dtype=torch.long)
        row = torch.linalg.solve_triangular(self._factor[:k, :k], self._gram[active, j][:, None], upper=False)[:, 0]
        pivot = float(self._gram[j, j] - row @ row)
        if pivot <= 1e-12 * float(self._gram[j, j]):
            return False
        self._factor[k, :k] = row
        self._factor[k, k] = math.sqrt(pivot)
        self._active.append(j)
        return True

    def _descend(self) -> None:
        """Solve for the active columns, and drop those whose weight reaches 0 on the way."""
        while self._active:
            k, active = len(self._active), torch.tensor(self._active, dtype=torch.long)
            goal = torch.cholesky_solve(self._moments[active][:, None], self._factor[:k, :k])[:, 0]
            if bool((goal > 0).all()):
                self._solution[active] = goal
                return
            here = self._solution[active]
            share = torch.where(goal > 0, torch.inf, here / (here - goal).clamp_min(torch.finfo(torch.float64).tiny))
            step = float(share.min())
            self._solution[active] = (here + step * (goal - here)).clamp_min_(0)
            gone = share <= step
            self._solution[active[gone]] = 0
            self._active = active[~gone].tolist()
            kept = active[~gone]
            self._factor[: len(kept), : len(kept)] = torch.linalg.cholesky(self._gram[kept][:, kept])


# --- rows that are nearly equal -----------------------------------------------------------------------------------------


def largest(values: Tensor, unsure: Tensor, exactly: Callable[[Tensor], tuple[Tensor, Tensor]]) -> tuple[int, float]:
    """The row of largest value, and that value; ties go to the smaller row.

    Args:
        values: Values of the rows, (N,) float64; -inf for excluded rows.
        unsure: Bound of the rounding error of each value, (N,).
        exactly: Function from rows (m,) to their values in float64 and bounds of the rounding errors of these, (m,) each.
    """
    top = values.argmax()
    rows = torch.nonzero(values + unsure >= values[top] - unsure[top])[:, 0]
    if len(rows) == 1 or not bool(unsure[rows].any()):
        return int(rows[0]), float(values[rows[0]])
    exact, left = exactly(rows)
    left = left + EXACT_TIE * exact.abs()
    at = int(torch.nonzero(exact + left >= (exact - left).max())[0, 0])
    return int(rows[at]), float(exact[at])


def project(x: Features, point: Tensor) -> Tensor:
    """Inner products with a point in the shape of one row, (N,); memory is at most that of the smaller factors."""
    if isinstance(x, Outer):  # B P^T has N x C numbers, fewer than the N x D of A P
        images = torch.addmm(point[:, 0] * x.bias, x.b, point[:, 1:].T) if x.bias else x.b @ point.T
        products: Tensor = torch.linalg.vecdot(images, x.a)
        return products
    if isinstance(x, Grouped):
        sums = point.new_zeros(len(x)).index_add_(0, x.groups, project(x.base, point))
        return sums.div_(x.counts())
    return torch.cat([x[block].project(point) for block in x.blocks()])


def _products(x: Features, atoms: Features) -> Tensor:
    """Inner products of a few atoms with all rows, (M, N)."""
    if isinstance(x, Grouped):  # writing out one atom as a point is cheaper than writing out all the other means
        one = atoms.sq_norms().new_ones(1)
        return torch.stack([project(x, atoms[slice(j, j + 1)].combine(one)) for j in range(len(atoms))])
    return x.inner(atoms).T


def exact_project(x: Features, rows: Tensor, point: Tensor) -> Tensor:
    """Float64 inner products of some rows with a float64 point, (M,)."""
    step = max(1, BLOCK_BYTES // (2 * x.row_bytes()))
    return torch.cat([x[part].double().project(point) for part in rows.split(step)])


def exact_sq_norms(x: Features) -> Tensor:
    """Squared norms in float64, (N,), so that those of tiny rows do not underflow."""
    if isinstance(x, Outer):
        return _exact_squares(x.a) * (_exact_squares(x.b) + x.bias**2)
    return torch.cat([x[block].exact_sq_norms() for block in x.blocks()])


def _exact_squares(x: Tensor) -> Tensor:
    """Squared norms in float64, (N,), without a float64 copy of the rows."""
    norms: Tensor = torch.linalg.vector_norm(x, dim=1, dtype=torch.float64)
    return norms.square_()


def _nothing(x: Features) -> Tensor:
    """An empty tensor in the precision and on the device of the rows."""
    return x[slice(0, 0)].sq_norms()
