// SPDX-License-Identifier: Apache-2.0
#include "shard/ring.h"

#include <algorithm>

#include "ops/collectives.h"
#include "ops/concat.h"
#include "ops/constant.h"
#include "ops/elementwise.h"
#include "ops/views.h"

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
    rows_ = ring.rows ? ring.rows->on(rank) : Ranges{{0, q_shape_[2]}};
    results_.resize(rows_.list().size());
  }

  ValueId run() {
    const int size = static_cast<int>(members_.size());
    ValueId block = pack();
    for (int step = 0; step < size; ++step) {
      const int owner = (position_ + size - step) % size;
      const ValueId next = step + 1 < size ? pass_on(block, owner) : kNone;
      attend(block, owner);
      block = next;
    }
    std::vector<ValueId> parts;
    for (size_t i = 0; i < results_.size(); ++i) parts.push_back(finish(i));
    if (parts.empty()) return add(Attention{r_.op.scale}, {r_.q, r_.k, r_.v});
    return parts.size() == 1 ? parts[0] : add(Concat{2}, parts);
  }

 private:
  // What a range of queries has so far: f32, the mean of values and the logarithm of the sum.
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
  // Elements of a block's keys, and of its values.
  int64_t size_of_part(const Dims& shape, int owner) const {
    return shape[0] * shape[1] * keys_of(owner).size() * shape[3];
  }

  // Keys and values as one message, which goes around as it is.
  ValueId pack() {
    const auto flat = [&](ValueId x, const Dims& shape) {
      return add(Reshape{{size_of_part(shape, position_)}}, {x});
    };
    return add(Concat{0}, {flat(r_.k, k_shape_), flat(r_.v, v_shape_)});
  }

  ValueId pass_on(ValueId block, int owner) {
    const int64_t size = static_cast<int64_t>(members_.size());
    Send send;
    send.ranks = mesh_.groups(r_.axes);
    send.size = size;
    send.to = (position_ + 1) % size;
    f_.add(send, {block}, "", r_.scope);
    const auto coming = static_cast<int>((owner + size - 1) % size);
    Recv recv;
    recv.ranks = send.ranks;
    recv.size = size;
    recv.from = (position_ + size - 1) % size;
    recv.dtype = f_.type(r_.k).dtype;
    recv.shape = {size_of_part(k_shape_, coming) + size_of_part(v_shape_, coming)};
    return add(recv, {});
  }

  ValueId unpack(ValueId block, int owner, int64_t start, Dims shape) {
    const int64_t size = size_of_part(shape, owner);
    shape[2] = keys_of(owner).size();
    return add(Reshape{to_shape(shape)}, {add(Slice{0, start, size, 1}, {block})});
  }

  void attend(ValueId block, int owner) {
    const ValueId k = unpack(block, owner, 0, k_shape_);
    const ValueId v = unpack(block, owner, size_of_part(k_shape_, owner), v_shape_);
    int64_t row = 0;
    for (size_t i = 0; i < rows_.list().size(); ++i) {
      const Range& rows = rows_.list()[i];
      const Range own{row, row + rows.size()};
      const Band band = r_.op.band();
      if (band.is_all()) attend_range(i, own, k, v, keys_of(owner), band);
      int64_t key = 0;
      for (const Range& keys : band.is_all() ? std::vector<Range>{} : keys_of(owner).list()) {
        const Band here = band.from(rows.begin, keys.begin);
        const auto [begin, end] = here.keys(0, rows.size(), keys.size());
        const Ranges seen = {{key + begin, key + end}};
        attend_range(i, own, resharder_.take(k, 2, seen, r_.scope),
                     resharder_.take(v, 2, seen, r_.scope),
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
    Result part{add(Cast{DType::f32}, {out[0]}),
                add(Reshape{{shape[0], shape[1], shape[2], 1}}, {out[1]})};
    results_[i] = results_[i].mean == kNone ? part : merge(results_[i], part);
  }

  ValueId number(double value) { return add(Full{value, DType::f32, {}}, {}); }

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
  Dims q_shape_, k_shape_, v_shape_;
  Ranges rows_;
  std::vector<Result> results_;  // by range of queries
};

}  // namespace

ValueId add_ring(Function& local, const Mesh& mesh, int rank, const RingAttention& ring) {
  return Ring(local, mesh, rank, ring).run();
}

}  // namespace tutti::shard
