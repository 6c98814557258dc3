// SPDX-License-Identifier: Apache-2.0
#include "shard/attention_local.h"

#include "ops/attention.h"
#include "ops/concat.h"
#include "shard/reshard.h"
#include "shard/ring.h"

namespace tutti::shard {
namespace {

class AttentionLocalizer {
 public:
  AttentionLocalizer(Function& local, const Mesh& mesh, int rank, AttentionPart part)
      : local_(local),
        mesh_(mesh),
        rank_(rank),
        part_(std::move(part)),
        op_(*part_.node.op.as<Attention>()),
        resharder_(local, mesh, rank) {}

  ValueId run() {
    repeat_heads();
    const std::vector<Placement>& placed = part_.placement.in;
    const std::vector<ValueId>& in = part_.in;
    if (part_.placement.travels != 0)
      return add_ring(local_, mesh_, rank_,
                      {op_, part_.placement.travels, *placed[1].dims[2], placed[0].dims[2], in[0],
                       in[1], in[2], in.size() > 3 ? in[3] : kNone, scope()});
    if (!op_.band().is_all() && (placed[0].dims[2] || placed[1].dims[2])) return banded_rows();
    return local_.add1(op_, in, part_.name, scope());
  }

 private:
  const std::string& scope() const { return part_.node.scope; }

  // Query heads of this rank may share its heads of keys unevenly: then keys are repeated.
  void repeat_heads() {
    const int64_t n = part_.q[1], m = part_.k[1], group = n / m;
    const Ranges own = held(part_.placement.in[0], 1, n, rank_),
                 keys = held(part_.placement.in[1], 1, m, rank_);
    Ranges each;
    bool regular = keys.size() > 0 && own.size() % keys.size() == 0;
    const int64_t local_group = regular ? own.size() / keys.size() : 1;
    int64_t index = 0;
    for (const Range& r : own.list()) {
      for (int64_t h = r.begin; h < r.end; ++h, ++index) {
        const int64_t key = h / group;
        const int64_t position = keys.sure_positions_of({{key, key + 1}}).list()[0].begin;
        regular = regular && position == index / local_group;
        each.add({position, position + 1});
      }
    }
    if (regular || own.size() == 0) return;
    for (size_t i = 1; i <= 2; ++i) part_.in[i] = resharder_.take(part_.in[i], 1, each, scope());
  }

  // A range of queries attends to the keys that it sees.
  ValueId banded_rows() {
    const std::vector<ValueId>& in = part_.in;
    const Ranges rows = held(part_.placement.in[0], 2, part_.q[2], rank_),
                 present = held(part_.placement.in[1], 2, part_.k[2], rank_);
    std::vector<ValueId> parts;
    int64_t start = 0;
    for (const Range& r : rows.list()) {
      const Range own{start, start + r.size()};
      const auto [begin, end] = op_.band().keys(r.begin, r.size(), part_.k[2]);
      const Ranges keys{{begin, end}}, at = present.sure_positions_of(keys);
      std::vector<ValueId> operands = {resharder_.take(in[0], 2, {own}, scope()),
                                       resharder_.take(in[1], 2, at, scope()),
                                       resharder_.take(in[2], 2, at, scope())};
      if (in.size() > 3) operands.push_back(resharder_.take_mask(in[3], {own}, keys, scope()));
      Attention op = op_;
      op.set_band(op_.band().from(r.begin, begin).simplest(r.size(), end - begin));
      parts.push_back(local_.add1(op, operands, "", scope()));
      start += r.size();
    }
    if (parts.empty()) return local_.add1(Attention{op_.scale}, {in[0], in[1], in[2]}, "", scope());
    return parts.size() == 1 ? parts[0] : local_.add1(Concat{2}, parts, "", scope());
  }

  Function& local_;
  const Mesh& mesh_;
  int rank_;
  AttentionPart part_;
  const Attention& op_;
  Resharder resharder_;
};

}  // namespace

ValueId localize_attention(Function& local, const Mesh& mesh, int rank, AttentionPart part) {
  return AttentionLocalizer(local, mesh, rank, std::move(part)).run();
}

}  // namespace tutti::shard
