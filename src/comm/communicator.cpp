// SPDX-License-Identifier: Apache-2.0
#include "tutti/communicator.h"

#include <algorithm>
#include <array>

#include "comm/progress.h"
#include "core/error.h"

namespace tutti::comm {

struct Communicator::State {
  State(std::unique_ptr<Transport> t, std::string n)
      : transport(std::move(t)), name(std::move(n)) {}

  std::unique_ptr<Transport> transport;
  std::string name;
  double deadline_s = 30;
  uint64_t collectives = 0;  // numbers given so far
  uint64_t splits = 0;
  uint64_t bytes_sent = 0;
  std::array<uint64_t, kMostRanks> sends{}, recvs{};
  std::unique_ptr<Progress> progress;  // from the first start on; goes before the transport

  Job make_job(const Collective& c, const void* in, void* out);
};

namespace {

/// Bytes in and out may share: where they do, `out` lies `offset` bytes behind `in`.
void check_overlap(const Collective& c, int rank, int size, const void* in, const void* out) {
  const size_t element = size_of(c.dtype);
  const auto in_bytes = static_cast<size_t>(in_elements(c, rank, size)) * element;
  const auto out_bytes = static_cast<size_t>(out_elements(c, rank, size)) * element;
  require_argument(in_bytes == 0 || in != nullptr, to_string(c.kind), " '", c.label,
                   "': no input is given, ", in_bytes, " bytes are wanted");
  require_argument(out_bytes == 0 || out != nullptr, to_string(c.kind), " '", c.label,
                   "': no output is given, ", out_bytes, " bytes are wanted");
  const auto from = reinterpret_cast<uintptr_t>(in), to = reinterpret_cast<uintptr_t>(out);
  if (in_bytes == 0 || out_bytes == 0 || from + in_bytes <= to || to + out_bytes <= from) return;
  const size_t block = static_cast<size_t>(c.count) * element * static_cast<size_t>(rank);
  bool in_place = from == to;
  if (c.kind == Kind::all_gather || c.kind == Kind::gather) in_place = from == to + block;
  if (c.kind == Kind::reduce_scatter || c.kind == Kind::scatter) in_place = to == from + block;
  if (c.kind == Kind::all_to_all_v)
    in_place = from == to && std::equal(c.sends.begin(), c.sends.end(), c.receives.begin());
  require_argument(in_place, to_string(c.kind), " '", c.label,
                   "': input and output overlap, but not as in place");
}

}  // namespace

Job Communicator::State::make_job(const Collective& c, const void* in, void* out) {
  const int rank = transport->rank(), size = transport->size();
  check(c, rank, size);
  check_overlap(c, rank, size, in, out);
  uint64_t& number = c.kind == Kind::send   ? sends[static_cast<size_t>(c.root)]
                     : c.kind == Kind::recv ? recvs[static_cast<size_t>(c.root)]
                                            : collectives;
  bytes_sent += static_cast<uint64_t>(sent_elements(c, rank, size)) * size_of(c.dtype);
  return {c, ++number, hash_label(c.label), in, out};
}

Communicator::Communicator(std::unique_ptr<Transport> transport, std::string name)
    : state_(std::make_unique<State>(std::move(transport), std::move(name))) {
  state_->transport->set_deadline(state_->deadline_s);
}

Communicator::~Communicator() {
  if (!state_ || !state_->progress) return;
  if (const uint64_t open = state_->progress->outstanding(); open > 0)
    abort_group(join("group '", name(), "' was closed with ", open, " collectives outstanding"));
}

Communicator::Communicator(Communicator&&) noexcept = default;
Communicator& Communicator::operator=(Communicator&& other) noexcept {
  std::swap(state_, other.state_);
  return *this;
}

int Communicator::rank() const { return state_->transport->rank(); }
int Communicator::size() const { return state_->transport->size(); }
const std::string& Communicator::name() const { return state_->name; }
uint64_t Communicator::bytes_sent() const { return state_->bytes_sent; }
double Communicator::deadline_s() const { return state_->deadline_s; }

void Communicator::set_deadline(double seconds) {
  require_argument(seconds > 0, "group '", name(), "': deadline of ", seconds, " s");
  state_->deadline_s = seconds;
  state_->transport->set_deadline(seconds);
}

void Communicator::run(const Collective& c, const void* in, void* out) {
  const Job job = state_->make_job(c, in, out);
  if (state_->progress && state_->progress->outstanding() > 0)
    return state_->progress->wait(state_->progress->add(job));
  if (!is_pair(c.kind)) return state_->transport->run(c, job.number, job.label_hash, in, out);
  Pair pair = pair_of(job);
  run_pair(*state_->transport, pair, job.label_hash);
}

Request Communicator::start(const Collective& c, const void* in, void* out) {
  const Job job = state_->make_job(c, in, out);
  if (!state_->progress) state_->progress = std::make_unique<Progress>(*state_->transport);
  return {state_->progress->add(job)};
}

void Communicator::wait(Request request) {
  require_argument(state_->progress != nullptr, "group '", name(), "': nothing was started");
  state_->progress->wait(request.id);
}

std::optional<Communicator> Communicator::split(int colour, int key) {
  const auto size = static_cast<size_t>(this->size());
  const int64_t mine[2] = {colour, key};
  std::vector<int64_t> all(2 * size);
  run({.kind = Kind::all_gather, .dtype = DType::i64, .count = 2, .label = "split"}, mine,
      all.data());
  ++state_->splits;
  if (colour < 0) return std::nullopt;
  std::vector<int> members;
  for (size_t r = 0; r < size; ++r)
    if (all[2 * r] == colour) members.push_back(static_cast<int>(r));
  std::stable_sort(members.begin(), members.end(), [&](int a, int b) {
    return all[2 * static_cast<size_t>(a) + 1] < all[2 * static_cast<size_t>(b) + 1];
  });
  const std::string name = join(state_->name, ".", state_->splits, ".", colour);
  Communicator group(state_->transport->split(name, members), name);
  group.set_deadline(state_->deadline_s);
  return group;
}

void Communicator::abort_group(std::string_view reason) {
  state_->transport->abort_group(std::string(reason));
}

std::vector<std::vector<Entry>> Communicator::history() const {
  return state_->transport->history();
}

std::string to_text(const std::vector<std::vector<Entry>>& history) {
  std::string text;
  for (size_t r = 0; r < history.size(); ++r) {
    text += join("rank ", r, "\n");
    for (const Entry& e : history[r]) {
      text += "  " + to_string(e);
      text += e.end_ns == 0 ? "  not ended\n" : join("  ", (e.end_ns - e.start_ns) / 1000, " us\n");
    }
  }
  return text;
}

}  // namespace tutti::comm
