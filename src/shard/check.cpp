// SPDX-License-Identifier: Apache-2.0
#include "shard/check.h"

#include <algorithm>
#include <functional>
#include <map>
#include <set>

#include "core/error.h"
#include "ops/attention.h"
#include "ops/concat.h"
#include "ops/elementwise.h"
#include "ops/reduce.h"
#include "ops/views.h"
#include "shard/attention_check.h"

namespace tutti::shard {
namespace {

using MaybeTable = std::optional<Table>;

// For messages: becomes text only when something is wrong.
struct Late {
  std::function<std::string()> text;
  friend std::string to_string(const Late& late) { return late.text(); }
};

class Checker {
 public:
  Checker(const Function& f, const Mesh& mesh, const Placements& placements)
      : f_(f), mesh_(mesh), placements_(placements) {
    for (const Value& value : f.values) shapes_.push_back(constant_dims(value.type.shape));
  }

  void run() {
    for (size_t v = 0; v < f_.values.size(); ++v) {
      const auto id = static_cast<ValueId>(v);
      placement(placements_.values[v], id, "");
      if (f_.value(id).producer == kNone) given(id);
    }
    for (const Update& update : f_.updates)
      if (const auto at = placements_.states.find(update.resident); at != placements_.states.end())
        state(at->second, update.value);
    for (size_t n = 0; n < f_.nodes.size(); ++n) {
      node_ = &f_.nodes[n];
      p_ = &placements_.nodes[n];
      flow();
      op();
    }
  }

 private:
  // What is wrong starts with where.
  template <class... Parts>
  void expect(bool holds, const Parts&... parts) const {
    if (holds) return;
    if (node_ == nullptr) fail(Errc::internal, "shard: ", parts...);
    fail(Errc::internal, "shard: ", node_->op.name(), " ", node_->scope, ": ", parts...);
  }
  Late text(const Placement& p) const {
    return Late{[this, &p] { return to_string(p, mesh_); }};
  }
  Late text(const MaybeTable& t) const {
    return Late{[this, &t] { return t ? t->text(mesh_) : std::string("whole"); }};
  }
  Late text(AxisSet axes) const {
    return Late{[this, axes] { return mesh_.text(axes); }};
  }
  const Dims& shape(ValueId id) const { return shapes_[static_cast<size_t>(id)]; }
  const std::string& name(ValueId id) const { return f_.value(id).name; }

  // Inputs and weights are whole, state is where all plans have it.
  void given(ValueId id) const {
    const Placement& found = placements_.values[static_cast<size_t>(id)];
    const auto at = placements_.states.find(f_.value(id).resident);
    const Placement wanted =
        at != placements_.states.end() ? at->second : Placement::whole(shape(id).rank());
    expect(found == wanted, "value ", f_.value(id).name, " is given as ", text(found), "; ",
           text(wanted), " is wanted");
  }

  void state(const Placement& p, ValueId id) {
    placement(p, id, " as state");
    expect(p.partial == 0, "value ", name(id), " as state is ", text(p), "; no sum is wanted");
  }

  // Every index is on a rank, and what a rank holds follows from its place on the table's axes.
  void table(const Table& t, int64_t extent, ValueId id, size_t dim, bool covers) {
    if (!proved_.insert({t.id(), covers ? extent : -1 - extent}).second) return;
    const auto where = join("value ", name(id), ", dimension ", dim, " of ", extent);
    expect(t.extent() == extent && t.ranks() == mesh_.size(), where, ": table of ", t.extent(),
           " on ", t.ranks(), " ranks; ", mesh_.size(), " ranks are wanted");
    for (int r = 0; r < t.ranks(); ++r) {
      const int first = firsts(t.axes())[static_cast<size_t>(r)];
      expect(t.on(r) == t.on(first), where, ": rank ", r, " holds other indices than rank ", first,
             ", as if it differed along more than ", text(t.axes()));
      for (const Range& x : t.on(r).list())
        expect(x.begin >= 0 && x.end <= extent, where, ": rank ", r, " holds ", x.begin, ":",
               x.end);
    }
    expect(!covers || t.covers(), where, ": ", text(MaybeTable(t)),
           "; every index on some rank is wanted");
  }

  // By rank: the first of those at its place on these axes.
  const std::vector<int>& firsts(AxisSet axes) {
    std::vector<int>& list = firsts_[axes];
    for (int r = static_cast<int>(list.size()); r < mesh_.size(); ++r)
      list.push_back(mesh_.group(r, ~axes)[0]);
    return list;
  }

  // Dimensions and sums use axes of their own: then ranks hold all combinations of indices.
  // A dimension of which ranks may lack what nothing needs is `sparse`.
  void placement(const Placement& p, ValueId id, const char* role, int sparse = -1) {
    expect(static_cast<int>(p.dims.size()) == shape(id).rank(), "value ", name(id), role, " has ",
           p.dims.size(), " tables; ", shape(id).rank(), " are wanted");
    AxisSet taken = p.partial;
    for (size_t d = 0; d < p.dims.size(); ++d) {
      if (!p.dims[d]) continue;
      const auto dim = static_cast<int>(d);
      table(*p.dims[d], shape(id)[dim], id, d, dim != sparse);
      const AxisSet axes = p.dims[d]->axes();
      expect((axes & taken) == 0, "value ", name(id), role, " is ", text(p), "; axes ",
             text(axes & taken), " are used twice");
      taken |= axes;
    }
  }

  // A sum over ranks can be added up on the way, but does not come into being.
  void flow() {
    const size_t inputs = node_->inputs.size(), outputs = node_->outputs.size();
    expect(p_->in.size() == inputs && p_->out.size() == outputs && p_->settled.size() == outputs,
           "placed with ", p_->in.size(), " operands and ", p_->out.size(), " results; ", inputs,
           " and ", outputs, " are wanted");
    const auto comes = [&](const Placement& from, const Placement& to, ValueId id) {
      expect((to.partial & ~from.partial) == 0, "value ", name(id), " is ", text(from),
             " and to be ", text(to), "; a sum over no more axes is wanted");
    };
    for (size_t i = 0; i < inputs; ++i) {
      const bool keys = node_->op.as<Attention>() && (i == 1 || i == 2);
      placement(p_->in[i], node_->inputs[i], " as an operand", keys ? 2 : -1);
      comes(placements_.values[static_cast<size_t>(node_->inputs[i])], p_->in[i], node_->inputs[i]);
    }
    for (size_t i = 0; i < outputs; ++i) {
      const ValueId id = node_->outputs[i];
      placement(p_->out[i], id, " as a result");
      comes(p_->out[i], p_->settled[i], id);
      expect(p_->settled[i] == placements_.values[static_cast<size_t>(id)], "value ", name(id),
             " goes to ", text(p_->settled[i]), "; ",
             text(placements_.values[static_cast<size_t>(id)]), " is wanted");
    }
  }

  void op() {
    const Op& op = node_->op;
    if (op.as<Attention>()) return attention();
    if (op.as<Reshape>()) return reshape();
    if (const auto* slice = op.as<Slice>()) return this->slice(*slice);
    if (const auto* concat = op.as<Concat>()) return this->concat(*concat);
    if (const auto f = factors(f_, *node_)) return by_factors(*f);
    for (size_t i = 0; i < p_->in.size(); ++i) whole(p_->in[i], node_->inputs[i]);
    for (size_t i = 0; i < p_->out.size(); ++i) whole(p_->out[i], node_->outputs[i]);
  }

  void whole(const Placement& p, ValueId id) const {
    expect(p.is_whole(), "value ", name(id), " is ", text(p), "; whole is wanted");
  }

  // All indices in order, on all ranks.
  void whole(const MaybeTable& t, ValueId id, size_t dim) const {
    for (int r = 0; t && r < mesh_.size(); ++r)
      expect(t->on(r) == Ranges{{0, t->extent()}}, "value ", name(id), ", dimension ", dim,
             ": rank ", r, " holds ", t->on(r).size(), " of ", t->extent(), " indices: ", text(t),
             "; all, in order, are wanted");
  }

  // Along its axes, each index is on one rank only.
  void once(const MaybeTable& t, ValueId id, size_t dim) const {
    if (!t) return;
    for (int r = 0; r < mesh_.size(); ++r) {
      if (mesh_.position(r, t->axes()) != 0) continue;
      int64_t held = 0;
      for (const int member : mesh_.group(r, t->axes())) held += t->on(member).size();
      expect(held == t->extent(), "value ", name(id), ", dimension ", dim, ": ranks of ", r,
             " count ", held, " indices of ", t->extent(), ": ", text(t), "; each once is wanted");
    }
  }

  void same(const MaybeTable& found, const MaybeTable& wanted, ValueId id, size_t dim) const {
    expect(found == wanted, "value ", name(id), ", dimension ", dim, " is ", text(found), "; ",
           text(wanted), " is wanted");
  }

  // Axes of sums that pass through an operator from its operands.
  AxisSet passed() const {
    const Op& op = node_->op;
    AxisSet any = 0, all = p_->in.empty() ? 0 : p_->in[0].partial;
    for (const Placement& in : p_->in) {
      any |= in.partial;
      all &= in.partial;
    }
    const auto refuse = [&](bool passes, const char* wanted) {
      expect(passes, "takes sums over ", text(any), "; ", wanted);
    };
    if (any == 0) return 0;
    const auto* fn = op.as<ElementwiseOp>();
    const auto* reduce = op.as<Reduce>();
    if (op.as<Reshape>() || op.as<Permute>() || op.as<Slice>() || op.as<Expand>() ||
        op.as<Concat>() || (reduce != nullptr && reduce->fn == "sum") ||
        (fn != nullptr && (fn->fn == Elementwise::neg || fn->fn == Elementwise::add ||
                           fn->fn == Elementwise::sub))) {
      refuse(any == all, "the same of all operands are wanted");
    } else if (fn != nullptr && fn->fn == Elementwise::mul) {
      refuse((p_->in[0].partial & p_->in[1].partial) == 0,
             "a product of two sums is not a sum of products");
      refuse(p_->in[0].partial == 0 || p_->in[1].partial == 0, "those of one operand are wanted");
    } else if (fn != nullptr && fn->fn == Elementwise::div) {
      refuse(p_->in[1].partial == 0, "a sum divides nothing");
    } else {
      refuse(false, "it passes none");
    }
    return any;
  }

  void by_factors(const Factors& f) {
    std::vector<std::optional<MaybeTable>> seen(f.list.size());
    AxisSet summed = 0;
    const auto visit = [&](const MaybeTable& t, int factor, ValueId id, size_t d) {
      if (factor < 0) return whole(t, id, d);
      const auto at = static_cast<size_t>(factor);
      if (seen[at]) return same(t, *seen[at], id, d);
      seen[at] = t;
      if (f.list[at].whole) return whole(t, id, d);
      if (f.list[at].in_result) return;
      once(t, id, d);
      if (t) summed |= t->axes();
    };
    bool within = f.reduced_by.has_value();
    for (size_t i = 0; i < f.in.size(); ++i) {
      within = within || f.addend[i];
      for (size_t d = 0; !f.addend[i] && d < f.in[i].size(); ++d)
        visit(p_->in[i].dims[d], f.in[i][d], node_->inputs[i], d);
    }
    expect(p_->reduced_within == (within ? summed : 0), "reduces over '", text(p_->reduced_within),
           "' before its addend, which is added once; over '", text(within ? summed : 0),
           "' is wanted");
    for (size_t i = 0; i < f.out.size(); ++i)
      for (size_t d = 0; d < f.out[i].size(); ++d) {
        const MaybeTable& t = p_->out[i].dims[d];
        // A sum that is added up may be left in parts.
        if (t && (t->axes() & ~p_->reduced_within) == 0 && t->axes() != 0) continue;
        visit(t, f.out[i][d], node_->outputs[i], d);
      }
    addends(f);
    const AxisSet wanted = passed() | (summed & ~p_->reduced_within);
    for (size_t i = 0; i < p_->out.size(); ++i)
      expect(p_->out[i].partial == wanted, "value ", name(node_->outputs[i]), " is a sum over '",
             text(p_->out[i].partial), "'; over '", text(wanted), "' is wanted");
  }

  // They are where the sum is.
  void addends(const Factors& f) const {
    for (size_t i = 0; i < f.in.size(); ++i) {
      if (!f.addend[i]) continue;
      const auto& result = p_->out[0].dims;
      for (size_t d = 0; d < f.in[i].size(); ++d) {
        const auto at = std::find(f.out[0].begin(), f.out[0].end(), f.in[i][d]);
        const bool follows = f.in[i][d] >= 0 && at != f.out[0].end();
        same(p_->in[i].dims[d],
             follows ? result[static_cast<size_t>(at - f.out[0].begin())] : MaybeTable(),
             node_->inputs[i], d);
      }
    }
  }

  // The elements of dimensions begin to end - 1 that a rank holds, as numbers in row-major order.
  Ranges flat(ValueId id, const Placement& p, int begin, int end, int rank) const {
    Ranges inner{{0, 1}};
    int64_t extent = 1;
    for (int d = end; d-- > begin;) {
      const Ranges own = held(p, d, shape(id)[d], rank);
      Ranges outer;
      for (const Range& x : own.list()) {
        if (inner == Ranges{{0, extent}})
          outer.add({x.begin * extent, x.end * extent});
        else
          for (int64_t i = x.begin; i < x.end; ++i) outer.add(inner, i * extent);
      }
      inner = std::move(outer);
      extent *= shape(id)[d];
    }
    return inner;
  }

  static bool is_split(const Placement& p, int begin, int end) {
    return std::any_of(p.dims.begin() + begin, p.dims.begin() + end,
                       [](const MaybeTable& t) { return t.has_value(); });
  }

  void reshape() {
    const ValueId x = node_->inputs[0], y = node_->outputs[0];
    const Dims &from = shape(x), &to = shape(y);
    expect(p_->out[0].partial == passed(), "value ", name(y), " is a sum over other axes than ",
           name(x));
    // As few dimensions at a time as have the same elements.
    for (int i = 0, j = 0, a = 0, b = 0; i < from.rank() || j < to.rank(); i = a, j = b) {
      int64_t left = 1, right = 1;
      do {
        if (b == to.rank() || (a < from.rank() && left <= right))
          left *= from[a++];
        else
          right *= to[b++];
      } while (left != right && (a < from.rank() || b < to.rank()));
      while (a < from.rank() && from[a] == 1) ++a;
      while (b < to.rank() && to[b] == 1) ++b;
      const bool split = is_split(p_->in[0], i, a) || is_split(p_->out[0], j, b);
      for (int r = 0; split && r < mesh_.size(); ++r)
        expect(flat(x, p_->in[0], i, a, r) == flat(y, p_->out[0], j, b, r), "value ", name(x),
               " is ", text(p_->in[0]), " and ", name(y), " ", text(p_->out[0]), ": rank ", r,
               " would hold other elements; the same are wanted");
    }
  }

  void slice(const Slice& op) {
    const ValueId x = node_->inputs[0], y = node_->outputs[0];
    const auto axis = static_cast<size_t>(op.axis);
    for (size_t d = 0; d < p_->in[0].dims.size(); ++d)
      if (d != axis) same(p_->out[0].dims[d], p_->in[0].dims[d], y, d);
    const int64_t start = op.start.value(), size = op.size.value();
    if (op.step != 1) {
      whole(p_->in[0].dims[axis], x, axis);
      whole(p_->out[0].dims[axis], y, axis);
    }
    for (int r = 0; op.step == 1 && r < mesh_.size(); ++r) {
      const Ranges own =
          held(p_->in[0], static_cast<int>(op.axis), shape(x)[static_cast<int>(op.axis)], r);
      Ranges wanted;
      wanted.add(own.within({start, start + size}), -start);
      expect(held(p_->out[0], static_cast<int>(op.axis), size, r) == wanted, "value ", name(y),
             " is ", text(p_->out[0].dims[axis]), " of ", text(p_->in[0].dims[axis]), " on rank ",
             r);
    }
    expect(p_->out[0].partial == passed(), "value ", name(y), " is a sum over other axes than ",
           name(x));
  }

  void concat(const Concat& op) {
    const ValueId y = node_->outputs[0];
    const auto axis = static_cast<size_t>(op.axis);
    for (size_t i = 0; i < p_->in.size(); ++i)
      for (size_t d = 0; d < p_->out[0].dims.size(); ++d)
        if (d != axis) same(p_->in[i].dims[d], p_->out[0].dims[d], node_->inputs[i], d);
    for (int r = 0; r < mesh_.size(); ++r) {
      Ranges wanted;
      int64_t start = 0;
      for (size_t i = 0; i < p_->in.size(); ++i) {
        const int64_t extent = shape(node_->inputs[i])[static_cast<int>(axis)];
        wanted.add(held(p_->in[i], static_cast<int>(axis), extent, r), start);
        start += extent;
      }
      expect(held(p_->out[0], static_cast<int>(axis), start, r) == wanted, "value ", name(y),
             " is ", text(p_->out[0].dims[axis]), " on rank ", r,
             "; the parts of its operands are wanted");
    }
    expect(p_->out[0].partial == passed(), "value ", name(y),
           " is a sum over other axes than its "
           "operands");
  }

  // Each rank meets the keys and values that its queries see, each once: those that it has and
  // those that come around.
  void attention() {
    const Placement &q = p_->in[0], &k = p_->in[1], &v = p_->in[2];
    const auto& in = node_->inputs;
    whole(q.dims[3], in[0], 3);
    whole(k.dims[3], in[1], 3);
    same(k.dims[0], q.dims[0], in[1], 0);
    same(v.dims[0], q.dims[0], in[2], 0);
    for (const size_t d : {1, 2}) same(v.dims[d], k.dims[d], in[2], d);
    check_keys(*node_, *p_, mesh_, {shape(in[0]), shape(in[1]), name(in[1])});
    if (in.size() > 3) mask();
    for (size_t i = 0; i < p_->out.size(); ++i)
      for (size_t d = 0; d < p_->out[i].dims.size(); ++d)
        same(p_->out[i].dims[d], d < 3 ? q.dims[d] : v.dims[3], node_->outputs[i], d);
    expect((passed() | p_->out[0].partial) == 0, "value ", name(node_->outputs[0]),
           " is a sum over ", text(p_->out[0].partial), "; it is none");
  }

  // Its dimensions are those of the scores, aligned at the last; keys are whole.
  void mask() const {
    const ValueId id = node_->inputs[3];
    const auto rank = static_cast<size_t>(shape(id).rank());
    for (size_t d = 0; d < rank; ++d) {
      const size_t at = 4 - rank + d;
      const bool follows = at < 3 && shape(id)[static_cast<int>(d)] != 1;
      if (follows)
        same(p_->in[3].dims[d], p_->in[0].dims[at], id, d);
      else
        whole(p_->in[3].dims[d], id, d);
    }
  }

  const Function& f_;
  const Mesh& mesh_;
  const Placements& placements_;
  std::vector<Dims> shapes_;
  const Node* node_ = nullptr;
  const NodePlacement* p_ = nullptr;
  std::set<std::pair<const void*, int64_t>> proved_;  // tables
  std::map<AxisSet, std::vector<int>> firsts_;
};

}  // namespace

void check_placements(const Function& f, const Mesh& mesh, const Placements& placements) {
  Checker(f, mesh, placements).run();
}

}  // namespace tutti::shard
