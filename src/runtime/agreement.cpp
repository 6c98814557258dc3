// SPDX-License-Identifier: Apache-2.0
#include "runtime/agreement.h"

#include <algorithm>
#include <set>

#include "core/error.h"
#include "runtime/call_order.h"

namespace tutti::runtime {
namespace {

std::string list_text(const RankList& list) {
  if (!list.group.empty()) return join("group '", list.group, "'");
  return list.ranks.empty() ? "the group of all ranks" : "a group of given ranks";
}

// Names that rank's program uses and that nobody gave it ranks for.
std::set<std::string> unbound_names(const Manifest& manifest) {
  std::set<std::string> names;
  for (const RankList& list : manifest.lists)
    if (list.ranks.empty() && !list.group.empty() && !manifest.groups.contains(list.group))
      names.insert(list.group);
  return names;
}

// Whether every rank has one and the same name, of as many ranks as there are.
bool one_name_is_all(const std::vector<Manifest>& manifests) {
  std::set<std::string> names;
  for (const Manifest& manifest : manifests) {
    size_t named = 0;
    for (const RankList& list : manifest.lists) {
      if (list.group.empty()) continue;
      ++named;
      names.insert(list.group);
      if (list.size != 0 && list.size != static_cast<int64_t>(manifests.size())) return false;
    }
    if (named == 0) return false;
  }
  return names.size() == 1;
}

void check_names(const std::vector<Manifest>& manifests) {
  const bool any = std::any_of(manifests.begin(), manifests.end(),
                               [](const Manifest& m) { return !unbound_names(m).empty(); });
  if (!any || one_name_is_all(manifests)) return;
  std::string text;
  for (size_t r = 0; r < manifests.size(); ++r) {
    std::vector<std::string> uses;
    for (const std::string& name : unbound_names(manifests[r])) {
      std::set<int64_t> sizes;
      for (const RankList& list : manifests[r].lists)
        if (list.group == name && list.size != 0) sizes.insert(list.size);
      uses.push_back(join("'", name, "'"));
      for (const int64_t size : sizes) uses.back() += join(" of ", size, " ranks");
    }
    if (!uses.empty())
      text += join(text.empty() ? "" : "; ", "rank ", r, " uses ", join_list(uses));
  }
  fail(Errc::invalid_argument, "groups have names and no ranks: ", text, "; of ", manifests.size(),
       " ranks, say which each name has (--group NAME=0,1)");
}

// All ranks that a list names, before it is cut into groups.
std::vector<int> named_ranks(const RankList& list, const Manifest& manifest, int rank, int size) {
  std::vector<int> ranks;
  const auto given = manifest.groups.find(list.group);
  if (!list.ranks.empty()) {
    for (const int64_t r : list.ranks)
      ranks.push_back(static_cast<int>(std::clamp<int64_t>(r, -1, size)));
  } else if (!list.group.empty() && given != manifest.groups.end()) {
    ranks = given->second;
  } else {
    for (int r = 0; r < size; ++r) ranks.push_back(r);
  }
  std::set<int> seen;
  for (const int r : ranks) {
    require_argument(r >= 0 && r < size, "rank ", rank, ": ", list_text(list), " is ",
                     ranks_text(ranks), "; ranks 0 to ", size - 1, " are there");
    require_argument(seen.insert(r).second, "rank ", rank, ": ", list_text(list), " is ",
                     ranks_text(ranks), "; rank ", r, " is there twice");
  }
  return ranks;
}

// How many ranks make one group: what any operator on the same name says; 0 where none does.
int64_t group_size(const RankList& list, const Manifest& manifest) {
  if (list.size != 0 || list.group.empty()) return list.size;
  for (const RankList& other : manifest.lists)
    if (other.group == list.group && other.ranks == list.ranks && other.size != 0)
      return other.size;
  return 0;
}

// The group that `rank` is in: every `list.size` ranks make one.
std::vector<int> members_of(const RankList& list, const Manifest& manifest, int rank, int size) {
  const std::vector<int> ranks = named_ranks(list, manifest, rank, size);
  const auto all = static_cast<int64_t>(ranks.size());
  const int64_t named = group_size(list, manifest);
  const int64_t each = named == 0 ? std::max<int64_t>(all, 1) : named;
  require_argument(all > 0 && all % each == 0, "rank ", rank, ": ", list_text(list), " is ",
                   ranks_text(ranks), "; the network wants groups of ", each, " ranks");
  const auto at = std::find(ranks.begin(), ranks.end(), rank);
  require_argument(at != ranks.end() || list.group.empty(), "rank ", rank, " uses ",
                   list_text(list), ", which is ", ranks_text(ranks));
  if (at == ranks.end()) return {};
  const auto first = ranks.begin() + (at - ranks.begin()) / each * each;
  return {first, first + each};
}

// An all_to_all that did not know the size of its group counts all blocks together.
void finish_counts(Manifest& manifest, const std::vector<std::vector<int>>& members, int rank) {
  for (auto& calls : manifest.plans) {
    for (PlannedCall& call : calls) {
      const auto list = static_cast<size_t>(call.list);
      const auto size = static_cast<int64_t>(members[list].size());
      if (call.what.kind != comm::Kind::all_to_all || manifest.lists[list].size != 0 || size == 0)
        continue;
      const int64_t rows = call.row == 0 ? 0 : call.what.count / call.row;
      require_argument(rows % size == 0, "rank ", rank, ": all_to_all",
                       call.label.empty() ? "" : join(" '", call.label, "'"), " of ", rows,
                       " indices on ", ranks_text(members[list]), "; a multiple of ", size,
                       " is wanted");
      call.what.count /= size;
    }
  }
}

}  // namespace

std::string ranks_text(const std::vector<int>& ranks) {
  std::string text = ranks.size() == 1 ? "rank " : "ranks ";
  if (ranks.empty()) text = "no ranks";
  for (size_t i = 0; i < ranks.size(); ++i) text += join(i ? ", " : "", ranks[i]);
  return text;
}

Agreement agree(std::vector<Manifest> manifests) {
  check_names(manifests);
  Agreement agreement;
  agreement.manifests = std::move(manifests);
  const int size = static_cast<int>(agreement.manifests.size());
  for (int r = 0; r < size; ++r) {
    Manifest& manifest = agreement.manifests[static_cast<size_t>(r)];
    const size_t plans = agreement.manifests[0].plans.size();
    require_argument(manifest.plans.size() == plans, "rank 0 has ", plans, " plans, rank ", r,
                     " has ", manifest.plans.size(), "; the same shapes in the same order are ",
                     "wanted on all");
    auto& members = agreement.members.emplace_back();
    for (const RankList& list : manifest.lists)
      members.push_back(members_of(list, manifest, r, size));
    finish_counts(manifest, members, r);
    auto& labels = agreement.labels.emplace_back();
    for (const auto& calls : manifest.plans) labels.emplace_back(calls.size());
  }
  for (size_t plan = 0; plan < agreement.manifests[0].plans.size(); ++plan)
    check_order(agreement, plan);
  return agreement;
}

}  // namespace tutti::runtime
