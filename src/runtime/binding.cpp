// SPDX-License-Identifier: Apache-2.0
#include "runtime/binding.h"

#include <algorithm>
#include <set>

#include "core/error.h"

namespace tutti::runtime {
namespace {

// Sets another deadline for as long as it lives.
class Deadline {
 public:
  Deadline(Communicator& communicator, double seconds)
      : communicator_(communicator), before_(communicator.deadline_s()) {
    communicator.set_deadline(seconds);
  }
  ~Deadline() { communicator_.set_deadline(before_); }
  Deadline(const Deadline&) = delete;
  Deadline& operator=(const Deadline&) = delete;

 private:
  Communicator& communicator_;
  double before_;
};

// The manifests of all ranks, on each.
std::vector<Manifest> exchange(Communicator& all, const Manifest& own, double deadline_s) {
  const Deadline deadline(all, deadline_s);
  const std::string text = encode(own);
  const auto size = static_cast<size_t>(all.size());
  const auto length = static_cast<int64_t>(text.size());
  std::vector<int64_t> lengths(size);
  all.run({.kind = comm::Kind::all_gather, .dtype = DType::i64, .count = 1, .label = "bind"},
          &length, lengths.data());
  const int64_t longest = *std::max_element(lengths.begin(), lengths.end());
  std::string padded = text;
  padded.resize(static_cast<size_t>(longest));
  std::vector<std::byte> texts(static_cast<size_t>(longest) * size);
  all.run({.kind = comm::Kind::all_gather, .dtype = DType::u8, .count = longest, .label = "bind"},
          padded.data(), texts.data());
  std::vector<Manifest> manifests;
  for (size_t r = 0; r < size; ++r) {
    const auto bytes = std::span<const std::byte>(texts).subspan(r * static_cast<size_t>(longest),
                                                                 static_cast<size_t>(lengths[r]));
    manifests.push_back(decode_manifest(bytes, join("manifest of rank ", r)));
  }
  return manifests;
}

}  // namespace

Binding::Binding(Communicator& all, const Program& program, const RankGroups& groups,
                 double build_deadline_s)
    : rank_(all.rank()) {
  Agreement agreement = agree(exchange(all, manifest_of(program, groups), build_deadline_s));
  const auto rank = static_cast<size_t>(rank_);
  manifest_ = std::move(agreement.manifests[rank]);
  members_ = agreement.members[rank];
  make_groups(all, agreement);
  make_calls(agreement, rank_);
}

// Every rank splits off all groups in the same order, also those that it is not in.
void Binding::make_groups(Communicator& all, const Agreement& agreement) {
  std::set<std::vector<int>> lists;
  for (const auto& of_rank : agreement.members)
    for (const std::vector<int>& members : of_rank)
      if (members.size() > 1) lists.insert(members);
  for (const std::vector<int>& members : lists) {
    const auto at = std::find(members.begin(), members.end(), rank_);
    const bool takes_part = at != members.end();
    auto group = all.split(takes_part ? 0 : -1, static_cast<int>(at - members.begin()));
    if (takes_part) groups_.emplace(members, std::move(*group));
  }
}

void Binding::make_calls(const Agreement& agreement, int rank) {
  for (size_t p = 0; p < manifest_.plans.size(); ++p) {
    std::vector<Call>& calls = calls_.emplace_back();
    for (size_t c = 0; c < manifest_.plans[p].size(); ++c) {
      PlannedCall& planned = manifest_.plans[p][c];
      planned.label = agreement.labels[static_cast<size_t>(rank)][p][c];
      const std::vector<int>& members = members_[static_cast<size_t>(planned.list)];
      Call call;
      call.alone = members.size() == 1;
      if (const auto group = groups_.find(members); group != groups_.end())
        call.group = &group->second;
      call.what = planned.collective();
      calls.push_back(call);
    }
  }
}

int64_t Binding::position(const RankList& list) const {
  const auto found = std::find(manifest_.lists.begin(), manifest_.lists.end(), list);
  if (found == manifest_.lists.end()) return 0;
  const auto& members = members_[static_cast<size_t>(found - manifest_.lists.begin())];
  const auto at = std::find(members.begin(), members.end(), rank_);
  return at == members.end() ? 0 : at - members.begin();
}

uint64_t Binding::bytes_sent() const {
  uint64_t sum = 0;
  for (const auto& [members, group] : groups_) sum += group.bytes_sent();
  return sum;
}

std::string Binding::history() const {
  std::string text;
  for (const auto& [members, group] : groups_)
    text += join("group of ", ranks_text(members), "\n", comm::to_text(group.history()));
  return text;
}

void Binding::abort_groups(const std::string& reason) {
  for (auto& [members, group] : groups_) group.abort_group(reason);
}

}  // namespace tutti::runtime
