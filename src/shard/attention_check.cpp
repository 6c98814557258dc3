// SPDX-License-Identifier: Apache-2.0
#include "shard/attention_check.h"

#include <algorithm>

#include "core/error.h"
#include "ops/attention.h"

namespace tutti::shard {
namespace {

class KeyChecker {
 public:
  KeyChecker(const Node& node, const NodePlacement& p, const Mesh& mesh,
             const AttentionOperands& whole)
      : node_(node), p_(p), mesh_(mesh), whole_(whole), band_(node.op.as<Attention>()->band()) {}

  void run(int rank) const {
    std::vector<Range> met;
    for (const int member : mesh_.group(rank, p_.travels)) {
      const Ranges own = held(p_.in[1], 2, whole_.k[2], member);
      met.insert(met.end(), own.list().begin(), own.list().end());
    }
    const auto before = [](const Range& a, const Range& b) { return a.begin < b.begin; };
    const bool ordered = p_.travels == 0 && (!band_.is_all() || node_.inputs.size() > 3);
    if (ordered && !std::is_sorted(met.begin(), met.end(), before))
      refuse("rank ", rank, " has keys ", table(2), "; in order they are wanted");
    std::sort(met.begin(), met.end(), before);
    const Ranges rows = held(p_.in[0], 2, whole_.q[2], rank);
    for (const Range& r : rows.list()) queries(rank, r, met);
    heads(rank);
  }

 private:
  template <class... Parts>
  [[noreturn]] void refuse(const Parts&... parts) const {
    fail(Errc::internal, "shard: attention ", node_.scope, ": value ", whole_.name, ": ", parts...);
  }
  std::string table(size_t dim) const {
    const auto& t = p_.in[1].dims[dim];
    return t ? t->text(mesh_) : "whole";
  }

  void queries(int rank, const Range& r, const std::vector<Range>& met) const {
    const auto [begin, end] = band_.keys(r.begin, r.size(), whole_.k[2]);
    const auto refuse_key = [&](int64_t key, const char* how) {
      refuse("queries ", r.begin, ":", r.end, " of rank ", rank, " meet key ", key, how, ": ",
             table(2), "; each of ", begin, ":", end, " once is wanted");
    };
    int64_t next = begin;
    for (const Range& x : met) {
      if (x.end <= begin || x.begin >= end) continue;
      const int64_t first = std::max(x.begin, begin);
      if (first < next) refuse_key(first, " twice");
      if (first > next) refuse_key(next, " not at all");
      next = x.end;
    }
    if (next < end) refuse_key(next, " not at all");
  }

  void heads(int rank) const {
    const int64_t n = whole_.q[1], m = whole_.k[1], group = n / m;
    const Ranges own = held(p_.in[0], 1, n, rank), keys = held(p_.in[1], 1, m, rank);
    for (const Range& x : own.list()) {
      const Range wanted{x.begin / group, (x.end + group - 1) / group};
      if (keys.positions_of({wanted})) continue;
      refuse("rank ", rank, " has heads ", x.begin, ":", x.end, " of ", n, " queries and ",
             table(1), " of ", m, " keys; ", wanted.begin, ":", wanted.end, " are wanted");
    }
  }

  const Node& node_;
  const NodePlacement& p_;
  const Mesh& mesh_;
  const AttentionOperands& whole_;
  Band band_;
};

}  // namespace

void check_keys(const Node& node, const NodePlacement& p, const Mesh& mesh,
                const AttentionOperands& whole) {
  const KeyChecker checker(node, p, mesh, whole);
  for (int r = 0; r < mesh.size(); ++r) checker.run(r);
}

}  // namespace tutti::shard
