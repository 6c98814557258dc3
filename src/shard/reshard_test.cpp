// SPDX-License-Identifier: Apache-2.0
#include "shard/reshard.h"

#include <numeric>

#include "ops/collectives.h"
#include "ops/ops_for_tests.h"
#include "shard/elements_for_tests.h"

// Values on several ranks are resharded in one process, with collectives by plain loops.
namespace tutti::shard {
namespace {

Tensor element_wise(const Tensor& like) { return Tensor::zeros(DType::f32, like.shape); }

// Indices start to start + size - 1 of an axis.
Tensor cut(const Tensor& x, int64_t axis, int64_t start, int64_t size) {
  Tensor part = x;
  const auto a = static_cast<int>(axis);
  part.shape[a] = size;
  part.data = part.as<float>() + start * part.strides[a];
  Tensor y = element_wise(part);
  copy_strided(part.shape, part.data, part.dtype, part.strides, y.data, y.dtype, y.strides);
  return y;
}

Tensor joined(const std::vector<Tensor>& parts, int64_t axis) {
  const auto a = static_cast<int>(axis);
  Dims shape = parts[0].shape;
  shape[a] = 0;
  for (const Tensor& part : parts) shape[a] += part.shape[a];
  Tensor y = Tensor::zeros(DType::f32, shape);
  int64_t start = 0;
  for (const Tensor& part : parts) {
    copy_strided(part.shape, part.data, part.dtype, part.strides,
                 y.as<float>() + start * y.strides[a], y.dtype, y.strides);
    start += part.shape[a];
  }
  return y;
}

Tensor sum_of(const std::vector<Tensor>& parts) {
  Tensor y = element_wise(parts[0]);
  for (const Tensor& part : parts)
    for (int64_t i = 0; i < y.elements(); ++i) y.as<float>()[i] += part.as<float>()[i];
  return y;
}

// Runs the functions of all ranks, side by side from collective to collective.
class Ranks {
 public:
  Ranks(std::vector<Function> functions, const std::vector<Tensor>& inputs)
      : functions_(std::move(functions)), next_(functions_.size()) {
    for (size_t r = 0; r < functions_.size(); ++r) {
      values_.emplace_back(functions_[r].values.size());
      values_[r][0] = inputs[r];
    }
  }

  // Elements that came from other ranks, of all ranks.
  int64_t moved() const { return moved_; }

  std::vector<Tensor> run(const std::vector<ValueId>& results) {
    while (true) {
      for (size_t r = 0; r < functions_.size(); ++r) run_alone(r);
      const bool done = next_[0] == functions_[0].nodes.size();
      for (size_t r = 0; r < functions_.size(); ++r)
        require((next_[r] == functions_[r].nodes.size()) == done, Errc::internal,
                "ranks run different numbers of collectives");
      if (done) break;
      run_together();
    }
    std::vector<Tensor> tensors;
    for (size_t r = 0; r < results.size(); ++r)
      tensors.push_back(values_[r][static_cast<size_t>(results[r])]);
    return tensors;
  }

 private:
  const Node& node(size_t rank) const { return functions_[rank].nodes[next_[rank]]; }

  void run_alone(size_t r) {
    for (; next_[r] < functions_[r].nodes.size() && !node(r).op.has_effects(); ++next_[r]) {
      std::vector<Tensor> in;
      for (const ValueId id : node(r).inputs) in.push_back(values_[r][static_cast<size_t>(id)]);
      values_[r][static_cast<size_t>(node(r).outputs[0])] = run_op(node(r).op, in)[0];
    }
  }

  void run_together() {
    const std::string_view name = node(0).op.name();
    std::vector<Tensor> results(functions_.size());
    for (size_t r = 0; r < functions_.size(); ++r) {
      require(node(r).op.name() == name, Errc::internal, "ranks run different collectives");
      if (node(r).op.as<AllReduce>()) results[r] = all_reduce(r);
      if (node(r).op.as<ReduceScatter>()) results[r] = reduce_scatter(r);
      if (node(r).op.as<AllGather>()) results[r] = all_gather(r);
      if (node(r).op.as<AllToAll>()) results[r] = all_to_all(r);
      if (node(r).op.as<AllToAllV>()) results[r] = all_to_all_v(r);
      require(results[r].data != nullptr || results[r].elements() == 0, Errc::internal, name);
    }
    for (size_t r = 0; r < functions_.size(); ++r) {
      const ValueId id = node(r).outputs[0];
      EXPECT_EQ(results[r].shape, constant_dims(functions_[r].type(id).shape)) << name;
      values_[r][static_cast<size_t>(id)] = results[r];
    }
    for (size_t& next : next_) ++next;
  }

  // The ranks of the list that a rank is in.
  template <class T>
  std::vector<size_t> members(size_t rank) const {
    const T& op = *node(rank).op.as<T>();
    for (size_t first = 0; first < op.ranks.size(); first += static_cast<size_t>(op.size)) {
      const auto begin = op.ranks.begin() + static_cast<std::ptrdiff_t>(first);
      const std::vector<size_t> list(begin, begin + op.size);
      if (std::find(list.begin(), list.end(), rank) != list.end()) return list;
    }
    fail(Errc::internal, "rank ", rank, " is in no list");
  }
  const Tensor& operand(size_t rank) const {
    return values_[rank][static_cast<size_t>(node(rank).inputs[0])];
  }
  // What comes from another rank counts.
  Tensor from(size_t rank, size_t to, Tensor part) {
    if (rank != to) moved_ += part.elements();
    return part;
  }

  Tensor all_reduce(size_t r) {
    std::vector<Tensor> parts;
    for (const size_t m : members<AllReduce>(r)) parts.push_back(operand(m));
    return sum_of(parts);
  }
  Tensor reduce_scatter(size_t r) {
    const auto& op = *node(r).op.as<ReduceScatter>();
    const auto list = members<ReduceScatter>(r);
    const int64_t me = std::find(list.begin(), list.end(), r) - list.begin();
    std::vector<Tensor> parts;
    for (const size_t m : list) {
      const int64_t each = operand(m).shape[static_cast<int>(op.axis)] / op.size;
      parts.push_back(from(m, r, cut(operand(m), op.axis, me * each, each)));
    }
    return sum_of(parts);
  }
  Tensor all_gather(size_t r) {
    std::vector<Tensor> parts;
    for (const size_t m : members<AllGather>(r)) parts.push_back(from(m, r, operand(m)));
    return joined(parts, node(r).op.as<AllGather>()->axis);
  }
  Tensor all_to_all(size_t r) {
    const auto& op = *node(r).op.as<AllToAll>();
    const auto list = members<AllToAll>(r);
    const int64_t me = std::find(list.begin(), list.end(), r) - list.begin();
    std::vector<Tensor> parts;
    for (const size_t m : list) {
      const int64_t each = operand(m).shape[static_cast<int>(op.split_axis)] / op.size;
      parts.push_back(from(m, r, cut(operand(m), op.split_axis, me * each, each)));
    }
    return joined(parts, op.concat_axis);
  }
  Tensor all_to_all_v(size_t r) {
    const auto& op = *node(r).op.as<AllToAllV>();
    const auto list = members<AllToAllV>(r);
    const auto me = static_cast<size_t>(std::find(list.begin(), list.end(), r) - list.begin());
    std::vector<Tensor> parts;
    for (size_t i = 0; i < list.size(); ++i) {
      const std::vector<int64_t>& sends = node(list[i]).op.as<AllToAllV>()->sends;
      EXPECT_EQ(sends[me], op.receives[i]);
      const int64_t start = std::accumulate(sends.begin(), sends.begin() + me, int64_t{0});
      parts.push_back(from(list[i], r, cut(operand(list[i]), op.axis, start, sends[me])));
    }
    return joined(parts, op.axis);
  }

  std::vector<Function> functions_;
  std::vector<size_t> next_;  // by rank: the node it runs next
  std::vector<std::vector<Tensor>> values_;
  int64_t moved_ = 0;
};

// Element i of the value, and the addend of it that position p of `count` has.
float truth(int64_t i) { return static_cast<float>(i % 1021 + 1); }
float addend(int64_t i, int p, int count) {
  const auto other = [&](int q) { return static_cast<float>((i * 31 + q * 17) % 13 - 6); };
  if (p > 0) return other(p);
  float rest = truth(i);
  for (int q = 1; q < count; ++q) rest -= other(q);
  return rest;
}

struct Move {
  Mesh mesh;
  Dims shape;
  Placement from, to;
};

std::string text_of(const Move& m) {
  return join(m.mesh.text(), " ", m.shape, " ", to_string(m.from, m.mesh), " -> ",
              to_string(m.to, m.mesh));
}

struct Moved {
  std::vector<Tensor> results;  // by rank
  int64_t elements = 0;
};

Moved run(const Move& m) {
  std::vector<Function> functions;
  std::vector<Tensor> inputs;
  std::vector<ValueId> results;
  for (int r = 0; r < m.mesh.size(); ++r) {
    const Dims local = local_shape(m.from, m.shape, r);
    Function& f = functions.emplace_back();
    const ValueId x = f.add_input("x", {DType::f32, to_shape(local)});
    results.push_back(Resharder(f, m.mesh, r).reshard(x, m.shape, m.from, m.to, "here"));
    Tensor& t = inputs.emplace_back(Tensor::zeros(DType::f32, local));
    const auto own = elements_of(m.shape, m.from.dims, r);
    for (size_t i = 0; i < own.size(); ++i)
      t.as<float>()[i] =
          addend(own[i], m.mesh.position(r, m.from.partial), m.mesh.size(m.from.partial));
  }
  Ranks ranks(std::move(functions), inputs);
  Moved moved;
  moved.results = ranks.run(results);
  moved.elements = ranks.moved();
  return moved;
}

void expect_truth(const Move& m, const std::vector<Tensor>& results) {
  for (int r = 0; r < m.mesh.size(); ++r) {
    const auto wanted = elements_of(m.shape, m.to.dims, r);
    ASSERT_EQ(results[static_cast<size_t>(r)].shape, local_shape(m.to, m.shape, r))
        << "rank " << r << " of " << text_of(m);
    for (size_t i = 0; i < wanted.size(); ++i) {
      float sum = 0;
      for (const int member : m.mesh.group(r, m.to.partial))
        sum += results[static_cast<size_t>(member)].as<float>()[i];
      ASSERT_EQ(sum, truth(wanted[i])) << "rank " << r << " of " << text_of(m);
    }
  }
}

// Elements that ranks want and do not hold, counted one by one.
int64_t wanted_elements(const Move& m) {
  int64_t count = 0;
  for (int r = 0; r < m.mesh.size(); ++r) {
    const auto own = elements_of(m.shape, m.from.dims, r);
    for (const int64_t i : elements_of(m.shape, m.to.dims, r))
      count += std::find(own.begin(), own.end(), i) == own.end();
  }
  return count;
}

void expect_moves_what_is_wanted(const Move& m) {
  const Moved moved = run(m);
  ASSERT_NO_FATAL_FAILURE(expect_truth(m, moved.results));
  if (m.from.partial != 0) return;
  ASSERT_EQ(moved.elements, wanted_elements(m)) << text_of(m);
  ASSERT_EQ(moved_elements(m.shape, m.from, m.to, m.mesh), moved.elements) << text_of(m);
}

class Random {
 public:
  explicit Random(unsigned seed) : random_(seed) {}
  int pick(int n) { return static_cast<int>(random_() % static_cast<unsigned>(n)); }

  Move move() {
    static const char* const kMeshes[] = {"a=2",     "a=3",     "a=4",        "a=5",
                                          "a=2,b=2", "a=2,b=3", "a=3,b=2",    "a=6",
                                          "a=1,b=3", "a=2,b=1", "a=2,b=2,c=1"};
    Move m;
    m.mesh = Mesh::parse(kMeshes[pick(std::size(kMeshes))]);
    std::vector<int64_t> extents;
    for (int d = 1 + pick(3); d > 0; --d) extents.push_back(pick(8) == 0 ? pick(2) : 2 + pick(9));
    m.shape = Dims(extents);
    const AxisSet all = (AxisSet{1} << m.mesh.axes().size()) - 1;
    if (pick(4) == 0) m.from.partial = static_cast<AxisSet>(pick(static_cast<int>(all + 1)));
    if (pick(4) == 0) m.to.partial = m.from.partial & static_cast<AxisSet>(pick(4));
    m.from = placement(m, m.from.partial, m.from.partial == 0);
    m.to = placement(m, m.to.partial, true);
    return m;
  }

 private:
  // Any disjoint axes for the dimensions.
  Placement placement(const Move& m, AxisSet partial, bool windows) {
    Placement p = Placement::whole(m.shape.rank());
    p.partial = partial;
    for (size_t a = 0; a < m.mesh.axes().size(); ++a) {
      const AxisSet axis = AxisSet{1} << a;
      if ((partial & axis) != 0 || pick(4) == 0) continue;
      const int d = pick(m.shape.rank());
      auto& table = p.dims[static_cast<size_t>(d)];
      table = random_table(m.mesh, axis | (table ? table->axes() : 0), m.shape[d], windows);
    }
    return p;
  }

  Table random_table(const Mesh& mesh, AxisSet axes, int64_t extent, bool windows) {
    const int64_t half = extent / 2;
    switch (pick(windows ? 6 : 5)) {
      case 0:
        return Table::block(mesh, axes, extent, 1 + pick(2));
      case 1:
        return Table::zigzag(mesh, axes, extent);
      case 2:
        return Table::joined(
            {Table::block(mesh, axes, half), Table::block(mesh, axes, extent - half)});
      case 3:
        return dealt(mesh, axes, extent, pick(mesh.size(axes)));
      case 4:
        return dealt(mesh, axes, extent, -1);
      default:
        return window(mesh, axes, extent);
    }
  }

  // Every index to one rank of those that differ: `owner`, or any.
  Table dealt(const Mesh& mesh, AxisSet axes, int64_t extent, int owner) {
    std::vector<int64_t> order(static_cast<size_t>(extent));
    std::iota(order.begin(), order.end(), 0);
    if (pick(2) == 0) std::shuffle(order.begin(), order.end(), random_);
    std::vector<Ranges> by_position(static_cast<size_t>(mesh.size(axes)));
    for (const int64_t i : order)
      by_position[static_cast<size_t>(owner >= 0 ? owner : pick(mesh.size(axes)))].add({i, i + 1});
    return by(mesh, axes, extent, by_position);
  }

  // Blocks that reach into their neighbours.
  Table window(const Mesh& mesh, AxisSet axes, int64_t extent) {
    const Table block = Table::block(mesh, axes, extent);
    std::vector<Ranges> by_rank;
    for (int r = 0; r < mesh.size(); ++r) {
      Ranges& own = by_rank.emplace_back();
      for (const Range& x : block.on(r).list())
        own.add({std::max<int64_t>(x.begin - 1, 0), std::min(x.end + 1, extent)});
    }
    return {extent, axes, std::move(by_rank)};
  }

  static Table by(const Mesh& mesh, AxisSet axes, int64_t extent,
                  const std::vector<Ranges>& by_position) {
    std::vector<Ranges> by_rank;
    for (int r = 0; r < mesh.size(); ++r)
      by_rank.push_back(by_position[static_cast<size_t>(mesh.position(r, axes))]);
    return {extent, axes, std::move(by_rank)};
  }

  std::mt19937 random_;
};

// Names of the collectives that all ranks run, in order.
std::vector<std::string> collectives_of(const Move& m) {
  Function f;
  const ValueId x = f.add_input("x", {DType::f32, to_shape(local_shape(m.from, m.shape, 0))});
  Resharder(f, m.mesh, 0).reshard(x, m.shape, m.from, m.to, "here");
  std::vector<std::string> names;
  for (const Node& node : f.nodes)
    if (node.op.has_effects()) names.emplace_back(node.op.name());
  return names;
}

using Names = std::vector<std::string>;
const Mesh kFour = Mesh::parse("a=2,b=2");

Table blocks(AxisSet axes, int64_t extent) { return Table::block(kFour, axes, extent); }

TEST(Reshard, SendsNothingWhereRanksHoldWhatTheyNeed) {
  const Move cut{kFour, {4, 6}, Placement::whole(2), {{blocks(1, 4), blocks(2, 6)}, 0}};
  EXPECT_EQ(collectives_of(cut), Names{});
  expect_moves_what_is_wanted(cut);
  const Move further{kFour, {4, 6}, {{blocks(1, 4), {}}, 0}, {{blocks(3, 4), {}}, 0}};
  EXPECT_EQ(collectives_of(further), Names{});
  expect_moves_what_is_wanted(further);
}

TEST(Reshard, TakesTheCollectiveThatMovesLeast) {
  const Placement rows{{blocks(1, 4), {}}, 0}, columns{{{}, blocks(1, 6)}, 0};
  EXPECT_EQ(collectives_of({kFour, {4, 6}, rows, Placement::whole(2)}), Names{"all_gather"});
  EXPECT_EQ(collectives_of({kFour, {4, 6}, rows, columns}), Names{"all_to_all"});
  const Placement sum{{{}, {}}, 1};
  EXPECT_EQ(collectives_of({kFour, {4, 6}, sum, rows}), Names{"reduce_scatter"});
  EXPECT_EQ(collectives_of({kFour, {4, 6}, sum, Placement::whole(2)}), Names{"all_reduce"});
  EXPECT_EQ(collectives_of({kFour, {5, 6}, {{blocks(1, 5), {}}, 0}, Placement::whole(2)}),
            Names{"all_to_all_v"});
}

TEST(Reshard, AddsUpOnlyWhatIsWantedOfASum) {
  const Move m{kFour, {4, 6}, {{{}, {}}, 1}, {{{}, blocks(2, 6)}, 0}};
  const Moved moved = run(m);
  expect_truth(m, moved.results);
  EXPECT_EQ(collectives_of(m), Names{"all_reduce"});
  Function f;
  const ValueId x = f.add_input("x", {DType::f32, {4, 6}});
  Resharder(f, kFour, 0).reshard(x, m.shape, m.from, m.to, "here");
  EXPECT_EQ(f.type(f.nodes.back().inputs[0]).shape, (Shape{4, 3}));
}

TEST(Reshard, ExchangesTheAxesOfTwoDimensionsAtOnce) {
  const Move m{kFour, {4, 6}, {{blocks(1, 4), blocks(2, 6)}, 0}, {{blocks(2, 4), blocks(1, 6)}, 0}};
  EXPECT_EQ(collectives_of(m), Names{"all_to_all_v"});
  expect_moves_what_is_wanted(m);
}

TEST(Reshard, GivesEveryElementAndMovesWhatIsWanted) {
  Random random(5);
  for (int round = 0; round < 1000; ++round)
    ASSERT_NO_FATAL_FAILURE(expect_moves_what_is_wanted(random.move())) << "round " << round;
}

}  // namespace
}  // namespace tutti::shard
