// SPDX-License-Identifier: Apache-2.0
#include <numeric>

#include "random_program.h"

namespace tutti {
namespace {

Extents extents(const Plain::Shape& shape) { return {shape.begin(), shape.end()}; }

// How n elements are sent to so many ranks: some get none.
std::vector<int64_t> random_counts(std::mt19937& random, int64_t n, int64_t ranks) {
  std::vector<int64_t> counts(static_cast<size_t>(ranks));
  for (; n > 0; --n) ++counts[random() % counts.size()];
  return counts;
}

}  // namespace

void RandomCollectives::add() {
  using Make = void (RandomCollectives::*)();
  static constexpr Make kAll[] = {
      &RandomCollectives::reduce,          &RandomCollectives::reduce,
      &RandomCollectives::gather,          &RandomCollectives::scatter,
      &RandomCollectives::scatter,         &RandomCollectives::broadcast_root,
      &RandomCollectives::exchange,        &RandomCollectives::exchange,
      &RandomCollectives::exchange_uneven, &RandomCollectives::send_around,
      &RandomCollectives::send_around,     &RandomCollectives::add_rank};
  (this->*kAll[p_.pick(0, std::size(kAll) - 1)])();
}

RandomCollectives::Where RandomCollectives::some_ranks(bool any_size) {
  const int n = p_.ranks_;
  std::vector<int> order(static_cast<size_t>(n));
  std::iota(order.begin(), order.end(), 0);
  const int style = p_.pick(0, 3);
  if (style > 0) std::shuffle(order.begin(), order.end(), p_.random_);
  // Lists that are given by number may leave ranks out, names have all.
  int size = n;
  while (style > 0 && (size = p_.pick(1, n), style > 1 && n % size != 0)) {
  }
  if (style == 1) order.resize(static_cast<size_t>(n / size * size));
  Where where;
  where.size = size;
  for (size_t at = 0; at < order.size(); at += static_cast<size_t>(size))
    where.lists.emplace_back(order.begin() + static_cast<std::ptrdiff_t>(at),
                             order.begin() + static_cast<std::ptrdiff_t>(at) + size);
  Ranks ranks;
  ranks.size = any_size && p_.chance(2) && (style != 2 || size == n) ? 0 : size;
  if (style == 1) {
    ranks.ranks.assign(order.begin(), order.end());
    ranks.size = size;
  }
  if (style > 1) ranks.group = "g" + std::to_string(p_.instructions_.size());
  where.named.assign(static_cast<size_t>(n), ranks);
  // A name is all lists one after the other, or on each rank the list that it is in.
  if (style == 2)
    for (RankGroups& groups : p_.groups_) groups[ranks.group] = order;
  if (style == 3)
    for (const auto& list : where.lists)
      for (const int rank : list) p_.groups_[static_cast<size_t>(rank)][ranks.group] = list;
  return where;
}

// A value with an axis that n divides; if there is none, any value and the axis of n is -1.
size_t RandomCollectives::with_multiple(int64_t n, size_t* axis) {
  for (int tries = 0; tries < 20; ++tries) {
    const size_t x = p_.any();
    *axis = p_.axis_of(p_.values_[x]);
    if (p_.values_[x].extent(*axis) % n == 0) return x;
  }
  *axis = SIZE_MAX;
  return 0;
}

std::string RandomCollectives::reduction(const Value& x, int64_t ranks, double* largest) {
  *largest = x.largest;
  if (x.dtype == DType::boolean) return p_.chance(2) ? "max" : "min";
  const bool halves =
      (ranks == 2 || ranks == 4) && (x.dtype == DType::f32 || x.dtype == DType::f64);
  switch (p_.pick(0, 5)) {
    case 0:
      return "max";
    case 1:
      return "min";
    case 2:
      for (int64_t r = 1; r < ranks; ++r) *largest *= std::max(x.largest, 1.0);
      return "prod";
    case 3:
      if (halves) return "avg";
      [[fallthrough]];
    default:
      *largest *= static_cast<double>(ranks);
      return "sum";
  }
}

// An operator of one operand; ranks in no list have zeros.
void RandomCollectives::add_on(const Where& where, size_t x, Value y,
                               std::function<Expression(const Expression&, const Ranks&)> emit,
                               OfList of_list) {
  p_.add(y, {{x},
             [=](GraphBuilder&, const auto& operands, int rank) {
               return emit(operands[0], where.named[static_cast<size_t>(rank)]);
             },
             [=](const std::vector<OnRanks>& operands) {
               OnRanks result;
               for (const Plain::Shape& shape : y.shapes) result.emplace_back(shape, 0);
               for (const auto& list : where.lists) {
                 std::vector<Plain> own;
                 for (const int rank : list) own.push_back(operands[0][static_cast<size_t>(rank)]);
                 for (size_t i = 0; i < list.size(); ++i)
                   result[static_cast<size_t>(list[i])] = of_list(own, i);
               }
               return result;
             }});
}

void RandomCollectives::reduce() {
  const Where where = some_ranks(true);
  const size_t x = p_.any();
  Value y = p_.values_[x];
  const std::string how = reduction(y, where.size, &y.largest);
  const size_t root = static_cast<size_t>(p_.pick(0, static_cast<int>(where.size) - 1));
  const bool all = p_.chance(2);
  // An average has fractions, which are cut off at once.
  const auto whole = [=](const Expression& e) {
    return how == "avg" ? operation("floor", {e}) : e;
  };
  add_on(
      where, x, y,
      [=](const Expression& e, const Ranks& ranks) {
        return whole(all ? all_reduce(e, ranks, how)
                         : reduce_to(e, ranks, static_cast<int64_t>(root), how));
      },
      [=](const auto& xs, size_t position) {
        const Plain sum = map(reduced(xs, how), [](double v) { return std::floor(v); });
        return all || position == root ? sum : Plain(sum.shape, 0);
      });
}

void RandomCollectives::gather() {
  const Where where = some_ranks();
  const size_t x = p_.any();
  Value y = p_.values_[x];
  const size_t axis = p_.axis_of(y);
  for (Plain::Shape& shape : y.shapes) shape[axis] *= where.size;
  const size_t root = static_cast<size_t>(p_.pick(0, static_cast<int>(where.size) - 1));
  const bool all = p_.chance(2);
  const auto k = static_cast<int64_t>(axis);
  add_on(
      where, x, y,
      [=](const Expression& e, const Ranks& ranks) {
        return all ? all_gather(e, ranks, k) : gather_to(e, ranks, static_cast<int64_t>(root), k);
      },
      [=](const auto& xs, size_t position) {
        const Plain whole = joined(xs, axis);
        return all || position == root ? whole : Plain(whole.shape, 0);
      });
}

void RandomCollectives::scatter() {
  const Where where = some_ranks();
  size_t axis;
  const size_t x = with_multiple(where.size, &axis);
  if (axis == SIZE_MAX) return;
  Value y = p_.values_[x];
  const int64_t count = y.extent(axis) / where.size;
  for (Plain::Shape& shape : y.shapes) shape[axis] = count;
  const size_t root = static_cast<size_t>(p_.pick(0, static_cast<int>(where.size) - 1));
  const bool reduces = p_.chance(2);
  double largest = y.largest;
  std::string how = reduction(y, where.size, &largest);
  if (how == "avg") how = "max";
  if (reduces) y.largest = largest;
  const auto k = static_cast<int64_t>(axis);
  add_on(
      where, x, y,
      [=](const Expression& e, const Ranks& ranks) {
        return reduces ? reduce_scatter(e, ranks, how, k)
                       : scatter_from(e, ranks, static_cast<int64_t>(root), k);
      },
      [=](const auto& xs, size_t position) {
        return part_of(reduces ? reduced(xs, how) : xs[root], axis,
                       static_cast<int64_t>(position) * count, count);
      });
}

void RandomCollectives::broadcast_root() {
  const Where where = some_ranks(true);
  const size_t x = p_.any();
  const size_t root = static_cast<size_t>(p_.pick(0, static_cast<int>(where.size) - 1));
  add_on(
      where, x, p_.values_[x],
      [=](const Expression& e, const Ranks& ranks) {
        return broadcast(e, ranks, static_cast<int64_t>(root));
      },
      [=](const auto& xs, size_t) { return xs[root]; });
}

void RandomCollectives::exchange() {
  const Where where = some_ranks();
  size_t from;
  const size_t x = with_multiple(where.size, &from);
  if (from == SIZE_MAX) return;
  Value y = p_.values_[x];
  const size_t to = p_.chance(3) ? from : p_.axis_of(y);
  const int64_t count = y.extent(from) / where.size;
  for (Plain::Shape& shape : y.shapes) {
    shape[from] /= where.size;
    shape[to] *= where.size;
  }
  add_on(
      where, x, y,
      [=](const Expression& e, const Ranks& ranks) {
        return all_to_all(e, ranks, static_cast<int64_t>(from), static_cast<int64_t>(to));
      },
      [=](const auto& xs, size_t position) {
        std::vector<Plain> blocks;
        for (const Plain& sender : xs)
          blocks.push_back(part_of(sender, from, static_cast<int64_t>(position) * count, count));
        return joined(blocks, to);
      });
}

// Each rank sends blocks of any size; afterwards ranks differ in the axis.
void RandomCollectives::exchange_uneven() {
  const Where where = some_ranks();
  const size_t x = p_.any(false);
  Value y = p_.values_[x];
  size_t axis = p_.axis_of(y);
  for (size_t k = 0; k < y.shape().size(); ++k)
    for (const Plain::Shape& shape : y.shapes)
      if (shape[k] != y.extent(k)) axis = k;
  const auto n = static_cast<size_t>(p_.ranks_);
  const auto size = static_cast<size_t>(where.size);
  std::vector<std::vector<int64_t>> sends(n), receives(n);
  for (size_t r = 0; r < n; ++r)
    receives[r] = sends[r] = random_counts(p_.random_, y.shapes[r][axis], where.size);
  for (const auto& list : where.lists)
    for (size_t i = 0; i < size; ++i)
      for (size_t j = 0; j < size; ++j)
        receives[static_cast<size_t>(list[i])][j] = sends[static_cast<size_t>(list[j])][i];
  for (size_t r = 0; r < n; ++r)
    y.shapes[r][axis] = std::accumulate(receives[r].begin(), receives[r].end(), int64_t{0});
  const auto of_rank = [=](const OnRanks& xs, const std::vector<int>& list, size_t position) {
    std::vector<Plain> blocks;
    for (const int sender : list) {
      const auto s = static_cast<size_t>(sender);
      const auto begin = sends[s].begin(), own = begin + static_cast<std::ptrdiff_t>(position);
      blocks.push_back(part_of(xs[s], axis, std::accumulate(begin, own, int64_t{0}), *own));
    }
    return joined(blocks, axis);
  };
  p_.add(y, {{x},
             [=](GraphBuilder&, const auto& operands, int rank) {
               const auto r = static_cast<size_t>(rank);
               return all_to_all_v(operands[0], where.named[r], sends[r], receives[r],
                                   static_cast<int64_t>(axis));
             },
             [=](const std::vector<OnRanks>& operands) {
               OnRanks result;
               for (const Plain::Shape& shape : y.shapes) result.emplace_back(shape, 0);
               for (const auto& list : where.lists)
                 for (size_t i = 0; i < list.size(); ++i)
                   result[static_cast<size_t>(list[i])] = of_rank(operands[0], list, i);
               return result;
             }});
}

// Some ranks of each list send to the one that is so many positions further.
void RandomCollectives::send_around() {
  const Where where = some_ranks();
  if (where.size < 2) return;
  const size_t x = p_.any();
  const Value y = p_.values_[x];
  const auto n = static_cast<size_t>(p_.ranks_);
  const int size = static_cast<int>(where.size), step = p_.pick(1, size - 1);
  std::vector<int> to(n, -1), from(n, -1), rank_from(n, -1);
  std::vector<bool> sends_first(n);
  for (const auto& list : where.lists)
    for (int i = 0; i < size; ++i) {
      const int target = (i + step) % size;
      const auto sender = static_cast<size_t>(list[static_cast<size_t>(i)]);
      const auto receiver = static_cast<size_t>(list[static_cast<size_t>(target)]);
      if (p_.chance(4)) continue;
      to[sender] = target;
      from[receiver] = i;
      rank_from[receiver] = static_cast<int>(sender);
    }
  for (size_t r = 0; r < n; ++r) sends_first[r] = p_.chance(2);
  const auto emit = [=](GraphBuilder& graph, const auto& operands, int rank) {
    const auto r = static_cast<size_t>(rank);
    const auto give = [&] {
      if (to[r] >= 0) send(graph, operands[0], where.named[r], to[r]);
    };
    if (sends_first[r]) give();
    const Expression got = from[r] < 0
                               ? operands[0] * 0
                               : recv(graph, where.named[r], from[r], y.dtype, extents(y.shape()));
    if (!sends_first[r]) give();
    return got;
  };
  p_.add(y, {{x}, emit, [=](const std::vector<OnRanks>& operands) {
               OnRanks result;
               for (size_t r = 0; r < n; ++r)
                 result.push_back(rank_from[r] < 0
                                      ? Plain(y.shapes[r], 0)
                                      : operands[0][static_cast<size_t>(rank_from[r])]);
               return result;
             }});
}

void RandomCollectives::add_rank() {
  const Where where = some_ranks(true);
  const size_t x = p_.any();
  Value y = p_.values_[x];
  if (y.dtype == DType::boolean) return;
  y.largest += static_cast<double>(where.size) - 1;
  p_.add(y, {{x},
             [=](GraphBuilder& graph, const auto& operands, int rank) {
               const Ranks& ranks = where.named[static_cast<size_t>(rank)];
               return operands[0] + cast(rank_in(graph, ranks), y.dtype);
             },
             [=](const std::vector<OnRanks>& operands) {
               OnRanks result = operands[0];
               for (const auto& list : where.lists)
                 for (size_t i = 0; i < list.size(); ++i) {
                   Plain& own = result[static_cast<size_t>(list[i])];
                   own = map(own, [&](double v) { return v + static_cast<double>(i); });
                 }
               return result;
             }});
}

}  // namespace tutti
