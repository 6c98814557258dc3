// SPDX-License-Identifier: Apache-2.0
// How the ranks of a group come together, once they know each other: every one tells every other
// where its wire listens, connects, and sends a token over each lane's wire that only it can know.
#include "comm/gloo/form.h"

#include <algorithm>
#include <cstring>
#include <exception>
#include <map>
#include <optional>
#include <thread>

#include "comm/deadline.h"
#include "comm/shm/rendezvous.h"
#include "comm/store/sha256.h"
#include "core/error.h"

namespace tutti::comm {
namespace {

constexpr uint32_t kPlaces = 8, kPairPlaces = 4;
constexpr size_t kMostMemory = 64 << 20;  // of the places of one rank, in each direction
constexpr size_t kLeastPlace = 2048;      // holds what ranks compare
constexpr auto kPause = std::chrono::milliseconds(1);

size_t place_bytes(size_t wanted, int ranks, uint32_t places) {
  const size_t share = kMostMemory / static_cast<size_t>(std::max(ranks - 1, 1)) / places;
  return std::max(std::min(wanted, share), kLeastPlace) / 64 * 64 + 64;
}

std::vector<int> host_indices(const TcpGroup& group, const Site& site) {
  std::map<std::string, int> seen;
  std::vector<int> indices;
  for (int outer : group.members()) {
    const std::string host =
        site.hierarchical ? site.hosts[static_cast<size_t>(outer)] : std::string();
    indices.push_back(seen.emplace(host, static_cast<int>(seen.size())).first->second);
  }
  return indices;
}

/// What rank `from` of the group shows rank `to` first.
std::string token(const Site& site, const TcpGroup& group, int from, int to) {
  return std::string(
      bytes_of(hmac_sha256(site.secret, join("data ", group.id(), " ", group.outer_rank(from), " ",
                                             group.outer_rank(to)))));
}

/// A note: the layout that this rank wants and where its wire listens.
std::string note_of(const Layout& layout, const std::string& address) {
  return std::string(reinterpret_cast<const char*>(&layout), sizeof layout) + address;
}

}  // namespace

Lanes::Lanes(TcpGroup& group, const Site& site)
    : site_(site), rank_(group.rank()), hosts_(host_indices(group, site)) {
  const int size = group.size();
  shapes_[0] = {place_bytes(site.options.piece_bytes, size, kPlaces), kPlaces};
  shapes_[1] = {place_bytes(site.options.pair_piece_bytes, size, kPairPlaces), kPairPlaces};
  addresses_.resize(static_cast<size_t>(size));
  lanes_.resize(static_cast<size_t>(size));
  Arrival arrival{group.group_name(), rank_,
                  Layout{size, shapes_[0].place_bytes, shapes_[1].place_bytes}, group.deadline_s(),
                  group.members()};
  int looks = 0;
  arrival.look_about = [&] {
    group.check();
    int gone = 0;
    while (gone < size && group.fate(gone) != View::Fate::died &&
           group.fate(gone) != View::Fate::lost && group.fate(gone) != View::Fate::left)
      ++gone;
    looks = gone == size ? 0 : looks + 1;
    // Twice in a row: who has gone may have been the last that was needed.
    if (looks == 20) group.fail(Errc::comm, gone_text(arrival, gone));
  };
  try {
    meet(group, arrival);
    share_memory(group, arrival);
    connect(group, arrival);
    greet(group, arrival);
  } catch (const Error& error) {
    close();
    group.fail(error.code(), error.what());
  }
  const auto of_outer = [members = group.members()](int outer) {
    return static_cast<size_t>(std::find(members.begin(), members.end(), outer) - members.begin());
  };
  group.control().set_arrivals(group.id(), [this, of_outer](int from, const Control::Counts& sent) {
    const Pair& pair = lanes_[of_outer(from)];
    return pair[0]->has_come(sent[0]) && pair[1]->has_come(sent[1]);
  });
}

Lanes::~Lanes() {
  close();
  lanes_.clear();
}

void Lanes::close() {
  if (wire_) wire_->close();
}

bool Lanes::is_near(int r) const {
  const auto me = static_cast<size_t>(rank_), i = static_cast<size_t>(r);
  return site_.hierarchical && r != rank_ && hosts_[i] == hosts_[me];
}

void Lanes::drain(TcpGroup& group) {
  std::vector<Control::Counts> sent(static_cast<size_t>(group.control().size()));
  for (int r = 0; r < group.size(); ++r)
    if (r != rank_)
      sent[static_cast<size_t>(group.outer_rank(r))] = {collective(r).sent(), pairs(r).sent()};
  group.control().drain(group.id(), sent, group.deadline_s());
}

void Lanes::meet(TcpGroup& group, Arrival& arrival) {
  const Deadline deadline(arrival.timeout_s);
  wire_ = std::make_unique<Wire>(site_.device, rank_, group.size());
  std::vector<bool> came(lanes_.size());
  for (int r = 0; r < group.size(); ++r) {
    if (r == rank_) continue;
    const std::string address = is_near(r) ? "" : wire_->listen(r);
    group.control().send_note(group.outer_rank(r), group.id(), note_of(arrival.layout, address));
  }
  came[static_cast<size_t>(rank_)] = true;
  while (std::count(came.begin(), came.end(), false) > 0) {
    for (int r = 0; r < group.size(); ++r) {
      const auto i = static_cast<size_t>(r);
      if (came[i]) continue;
      const auto note = group.control().take_note(group.outer_rank(r), group.id());
      if (!note || note->size() < sizeof(Layout)) continue;
      came[i] = true;
      Arrival its{arrival.name, r, {}, 0, arrival.outer_ranks};
      std::memcpy(&its.layout, note->data(), sizeof(Layout));
      require(its.layout == arrival.layout, Errc::invalid_argument, size_text(its, arrival.layout));
      addresses_[i] = note->substr(sizeof(Layout));
    }
    arrival.look_about();
    require(!deadline.passed() || std::count(came.begin(), came.end(), false) == 0, Errc::timeout,
            missing_text(arrival, came));
    std::this_thread::sleep_for(kPause);
  }
}

/// Lanes to ranks of this host: the region of each ordered pair lies at (from, to).
void Lanes::share_memory(TcpGroup& group, const Arrival& arrival) {
  std::vector<int> near;
  for (int r = 0; r < group.size(); ++r)
    if (r == rank_ || is_near(r)) near.push_back(r);
  if (near.size() < 2) return;
  const size_t count = near.size();
  const auto index = [&](int r) {
    return static_cast<size_t>(std::find(near.begin(), near.end(), r) - near.begin());
  };
  Arrival there{
      join(arrival.name, "@", hosts_[static_cast<size_t>(rank_)], ".", hash_label(site_.secret)),
      static_cast<int>(index(rank_)),
      Layout{static_cast<int>(count), 0, 0, count * count * bytes()}, arrival.timeout_s};
  for (int r : near) there.outer_ranks.push_back(group.outer_rank(r));
  there.look_about = arrival.look_about;
  near_ = meet_on_host()->join(there).segment;
  for (int r : near) {
    if (r == rank_) continue;
    std::byte* out = near_->area() + (index(rank_) * count + index(r)) * bytes();
    std::byte* in = near_->area() + (index(r) * count + index(rank_)) * bytes();
    size_t at = 0;
    for (size_t k = 0; k < shapes_.size(); ++k) {
      lanes_[static_cast<size_t>(r)][k] =
          std::make_unique<Lane>(shapes_[k], out + at, in + at, nullptr);
      at += shapes_[k].bytes();
    }
  }
}

void Lanes::connect(TcpGroup& group, const Arrival& arrival) {
  std::vector<int> far;
  for (int r = 0; r < group.size(); ++r)
    if (r != rank_ && !is_near(r)) far.push_back(r);
  if (far.empty()) return;
  far_ = Segment::of_threads({1, 0, 0, 2 * far.size() * bytes()});
  std::byte* at = far_->area();
  for (int r : far) {
    for (size_t k = 0; k < shapes_.size(); ++k) {
      std::byte* out = at;
      std::byte* in = at + shapes_[k].bytes();
      at = in + shapes_[k].bytes();
      // Known to the wire before anything can come.
      auto port = wire_->port(r, static_cast<int>(k), out, in, shapes_[k].bytes());
      lanes_[static_cast<size_t>(r)][k] =
          std::make_unique<Lane>(shapes_[k], out, in, std::move(port));
    }
  }
  // Gloo's wait can only be ended from outside.
  std::atomic<bool> done = false;
  std::exception_ptr failure;
  std::thread connector([&] {
    try {
      for (int r : far) wire_->connect(r, addresses_[static_cast<size_t>(r)]);
    } catch (...) {
      failure = std::current_exception();
    }
    done = true;
  });
  const Deadline deadline(arrival.timeout_s);
  try {
    while (!done) {
      arrival.look_about();
      require(!deadline.passed(), Errc::timeout, "group '", arrival.name, "': ranks at ",
              site_.hosts[static_cast<size_t>(group.control().rank())],
              " and elsewhere cannot connect within ", deadline.seconds(), " s");
      std::this_thread::sleep_for(kPause);
    }
  } catch (...) {
    wire_->close();
    connector.join();
    throw;
  }
  connector.join();
  if (failure) std::rethrow_exception(failure);
}

void Lanes::greet(TcpGroup& group, const Arrival& arrival) {
  const Deadline deadline(arrival.timeout_s);
  for (int r = 0; r < group.size(); ++r) {
    if (r == rank_) continue;
    const std::string mine = token(site_, group, rank_, r);
    std::memcpy(collective(r).place(mine.size()), mine.data(), mine.size());
    collective(r).send(mine.size());
  }
  for (int r = 0; r < group.size(); ++r) {
    if (r == rank_) continue;
    Lane& lane = collective(r);
    while (!lane.has_message()) {
      arrival.look_about();
      require(!deadline.passed(), Errc::timeout, "group '", arrival.name, "': ", name_of(group, r),
              " is connected, but says nothing within ", deadline.seconds(), " s");
      std::this_thread::sleep_for(std::chrono::microseconds(100));
    }
    const auto got = lane.front();
    const std::string wanted = token(site_, group, r, rank_);
    require(got.size() == wanted.size() && std::memcmp(got.data(), wanted.data(), got.size()) == 0,
            Errc::comm, "group '", arrival.name, "': who is connected as ", name_of(group, r),
            " is somebody else");
    lane.pop();
  }
}

}  // namespace tutti::comm
