// SPDX-License-Identifier: Apache-2.0
#include "shard/ring.h"

#include <algorithm>

#include "ops/collectives.h"
#include "ops/concat.h"
#include "ops/constant.h"
#include "ops/elementwise.h"
#include "ops/views.h"
#include "shard/attention_plan.h"

namespace tutti::shard {
namespace {

class Ring {
 public:
  Ring(Function& local, const Mesh& mesh, int rank, const RingAttention& ring)
      : f_(local),
        mesh_(mesh),
        r_(ring),
        resharder_(local, mesh, rank),
        members_(mesh.group(rank, ring.axes)),
        position_(mesh.position(rank, ring.axes)),
        q_shape_(constant_dims(f_.type(ring.q).shape)),
        k_shape_(constant_dims(f_.type(ring.k).shape)),
        v_shape_(constant_dims(f_.type(ring.v).shape)) {
    rows_ = rows_of(position_);
    results_.resize(rows_.list().size());
    direction_ = direction();
  }

  ValueId run() {
    const int size = static_cast<int>(members_.size());
    Block block{pack(r_.k, r_.v), keys_of(position_)};
    for (int step = 0; step < size; ++step) {
      const Block next = step + 1 < size ? pass_on(block, step) : Block{};
      attend(block);
      block = next;
    }
    std::vector<ValueId> parts;
    for (size_t i = 0; i < results_.size(); ++i) parts.push_back(finish(i));
    if (parts.empty()) return add(Attention{r_.op.scale}, {r_.q, r_.k, r_.v});
    return parts.size() == 1 ? parts[0] : add(Concat{2}, parts);
  }

 private:
  // Keys and values of one rank, or of these those that are needed from here on, as one message.
  struct Block {
    ValueId value = kNone;
    Ranges keys;
  };
  // What a range of queries has so far: the mean of values and the logarithm of the sum.
  struct Result {
    ValueId mean = kNone, lse = kNone;
  };

  ValueId add(Op op, std::vector<ValueId> in) {
    return f_.add1(std::move(op), std::move(in), "ring", r_.scope);
  }
  ValueId add(Elementwise fn, std::vector<ValueId> in) {
    return add(ElementwiseOp{fn}, std::move(in));
  }
  const Ranges& keys_of(int owner) const {
    return r_.keys.on(members_[static_cast<size_t>(owner)]);
  }
  Ranges rows_of(int member) const {
    return r_.rows ? r_.rows->on(members_[static_cast<size_t>(member)]) : Ranges{{0, q_shape_[2]}};
  }
  int at(int position) const {
    const int size = static_cast<int>(members_.size());
    return (position % size + size) % size;
  }

  // Keys of an owner that ranks still need which its block reaches at this step or later.
  Ranges needed(int owner, int direction, int step) const {
    if (r_.op.band().is_all()) return keys_of(owner);
    Ranges queries;
    for (int s = step; s < static_cast<int>(members_.size()); ++s)
      queries.add(rows_of(at(owner + direction * s)));
    Ranges keys;
    const Ranges wanted = seen(r_.op.band(), queries, r_.keys.extent());
    for (const Range& own : keys_of(owner).list()) keys.add(wanted.within(own));
    return keys;
  }

  // The way around on which less is sent.
  int direction() const {
    int64_t sent[2] = {0, 0};
    for (int owner = 0; owner < static_cast<int>(members_.size()); ++owner)
      for (int step = 1; step < static_cast<int>(members_.size()); ++step) {
        sent[0] += needed(owner, 1, step).size();
        sent[1] += needed(owner, -1, step).size();
      }
    return sent[1] < sent[0] ? -1 : 1;
  }

  // Elements of so many keys, or of their values.
  static int64_t size_of_part(const Dims& shape, int64_t keys) {
    return shape[0] * shape[1] * keys * shape[3];
  }

  // Keys and values as one message.
  ValueId pack(ValueId k, ValueId v) {
    const auto flat = [&](ValueId x) { return add(Reshape{{elements(f_.type(x).shape)}}, {x}); };
    return add(Concat{0}, {flat(k), flat(v)});
  }

  // Sends on what ranks behind need of the block of this step; gives that of the next.
  Block pass_on(const Block& block, int step) {
    RankList ring;
    ring.ranks = mesh_.groups(r_.axes);
    ring.size = static_cast<int64_t>(members_.size());
    const Ranges leaving = needed(at(position_ - direction_ * step), direction_, step + 1);
    if (!leaving.empty()) {
      Send send;
      static_cast<RankList&>(send) = ring;
      send.to = at(position_ + direction_);
      f_.add(send, {part_of(block, leaving)}, "", r_.scope);
    }
    const Ranges coming = needed(at(position_ - direction_ * (step + 1)), direction_, step + 1);
    if (coming.empty()) return {};
    Recv recv;
    static_cast<RankList&>(recv) = ring;
    recv.from = at(position_ - direction_);
    recv.dtype = f_.type(r_.k).dtype;
    recv.shape = {size_of_part(k_shape_, coming.size()) + size_of_part(v_shape_, coming.size())};
    return {add(recv, {}), coming};
  }

  ValueId part_of(const Block& block, const Ranges& keys) {
    if (keys == block.keys) return block.value;
    const Ranges at = block.keys.sure_positions_of(keys);
    return pack(resharder_.take(keys_in(block), 2, at, r_.scope),
                resharder_.take(values_in(block), 2, at, r_.scope));
  }

  ValueId keys_in(const Block& block) { return unpack(block, 0, k_shape_); }
  ValueId values_in(const Block& block) {
    return unpack(block, size_of_part(k_shape_, block.keys.size()), v_shape_);
  }
  ValueId unpack(const Block& block, int64_t start, Dims shape) {
    const int64_t size = size_of_part(shape, block.keys.size());
    shape[2] = block.keys.size();
    return add(Reshape{to_shape(shape)}, {add(Slice{0, start, size, 1}, {block.value})});
  }

  void attend(const Block& block) {
    if (block.keys.empty()) return;
    const ValueId k = keys_in(block), v = values_in(block);
    const Band band = r_.op.band();
    int64_t row = 0;
    for (size_t i = 0; i < rows_.list().size(); ++i) {
      const Range& rows = rows_.list()[i];
      const Range own{row, row + rows.size()};
      if (band.is_all()) attend_range(i, own, k, v, block.keys, band);
      int64_t key = 0;
      for (const Range& keys : band.is_all() ? std::vector<Range>{} : block.keys.list()) {
        const Band here = band.from(rows.begin, keys.begin);
        const auto [begin, end] = here.keys(0, rows.size(), keys.size());
        const Ranges visible = {{key + begin, key + end}};
        attend_range(i, own, resharder_.take(k, 2, visible, r_.scope),
                     resharder_.take(v, 2, visible, r_.scope),
                     {{keys.begin + begin, keys.begin + end}},
                     here.from(0, begin).simplest(rows.size(), end - begin));
        key += keys.size();
      }
      row += rows.size();
    }
  }

  void attend_range(size_t i, Range rows, ValueId k, ValueId v, const Ranges& keys,
                    const Band& band) {
    if (keys.empty()) return;
    Attention op = r_.op;
    op.set_band(band);
    op.lse = true;
    std::vector<ValueId> in = {resharder_.take(r_.q, 2, {rows}, r_.scope), k, v};
    if (r_.mask != kNone) in.push_back(resharder_.take_mask(r_.mask, {rows}, keys, r_.scope));
    const auto out = f_.add(op, in, "ring", r_.scope);
    const Dims shape = constant_dims(f_.type(out[1]).shape);
    Result part{add(Cast{real()}, {out[0]}),
                add(Reshape{{shape[0], shape[1], shape[2], 1}}, {out[1]})};
    results_[i] = results_[i].mean == kNone ? part : merge(results_[i], part);
  }

  DType real() const { return f_.type(r_.q).dtype == DType::f64 ? DType::f64 : DType::f32; }
  ValueId number(double value) { return add(Full{value, real(), {}}, {}); }

  // Where neither has seen a key, both weights are 0 and so is the mean.
  Result merge(const Result& a, const Result& b) {
    const ValueId floor = number(-1e30), tiny = number(1e-30);
    const ValueId top =
        add(Elementwise::maximum, {add(Elementwise::maximum, {a.lse, b.lse}), floor});
    const auto weight = [&](ValueId lse) {
      return add(Elementwise::exp, {add(Elementwise::sub, {lse, top})});
    };
    const ValueId wa = weight(a.lse), wb = weight(b.lse);
    const ValueId total = add(Elementwise::add, {wa, wb});
    const ValueId sum = add(Elementwise::add, {add(Elementwise::mul, {a.mean, wa}),
                                               add(Elementwise::mul, {b.mean, wb})});
    return {add(Elementwise::div, {sum, add(Elementwise::maximum, {total, tiny})}),
            add(Elementwise::add, {top, add(Elementwise::log, {total})})};
  }

  ValueId finish(size_t i) {
    const DType dtype = f_.type(r_.q).dtype;
    if (results_[i].mean != kNone) return add(Cast{dtype}, {results_[i].mean});
    const Range& rows = rows_.list()[i];
    return add(Full{0, dtype, {q_shape_[0], q_shape_[1], rows.size(), v_shape_[3]}}, {});
  }

  Function& f_;
  const Mesh& mesh_;
  const RingAttention& r_;
  Resharder resharder_;
  std::vector<int> members_;
  int position_;
  int direction_ = 1;  // to which neighbour blocks go
  Dims q_shape_, k_shape_, v_shape_;
  Ranges rows_;
  std::vector<Result> results_;  // by range of queries
};

}  // namespace

ValueId add_ring(Function& local, const Mesh& mesh, int rank, const RingAttention& ring) {
  return Ring(local, mesh, rank, ring).run();
}

}  // namespace tutti::shard
