// SPDX-License-Identifier: Apache-2.0
// Rank 0 listens on a socket in the abstract namespace, which vanishes with it; the others say who
// they are. When all have come, each gets the memory and a descriptor of every process.
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstddef>

#include "comm/shm/rendezvous.h"
#include "core/error.h"

namespace tutti::comm {
namespace {

constexpr uint64_t kMagic = 0x74757474692d3031;  // changes with what ranks say or share
constexpr int64_t kRetryNs = 2'000'000;
constexpr int64_t kGraceNs = 2'000'000'000;  // for rank 0's answer, beyond the time it may wait

struct Hello {
  uint64_t magic = kMagic;
  int32_t rank = 0;
  Layout layout;
};

struct Reply {
  uint64_t magic = kMagic;
  int32_t failed = 0;
  int32_t code = 0;
  char text[1000] = {};
};

struct Address {
  sockaddr_un socket{};
  socklen_t bytes = 0;

  explicit Address(const std::string& name) {
    const std::string text = join("tutti.", geteuid(), ".", hash_label(name));
    socket.sun_family = AF_UNIX;
    // The leading 0 makes it a name without a file.
    memcpy(socket.sun_path + 1, text.data(), text.size());
    bytes = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + 1 + text.size());
  }
  const sockaddr* get() const { return reinterpret_cast<const sockaddr*>(&socket); }
};

Fd new_socket() {
  Fd fd(socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0));
  require(fd.get() >= 0, Errc::io, "cannot make a socket: ", strerror(errno));
  return fd;
}

Fd own_process() {
  Fd fd(static_cast<int>(syscall(SYS_pidfd_open, getpid(), 0)));
  require(fd.get() >= 0, Errc::unsupported, "pidfd_open: ", strerror(errno),
          "; Linux 5.3 or later is wanted");
  return fd;
}

constexpr size_t kMostFds = kMostRanks + 1;

template <class Message>
bool send_message(const Fd& to, const Message& message, std::span<const int> fds) {
  iovec data{const_cast<Message*>(&message), sizeof message};
  alignas(cmsghdr) char control[CMSG_SPACE(kMostFds * sizeof(int))] = {};
  msghdr header{};
  header.msg_iov = &data;
  header.msg_iovlen = 1;
  if (!fds.empty()) {
    header.msg_control = control;
    header.msg_controllen = CMSG_SPACE(fds.size_bytes());
    cmsghdr* c = CMSG_FIRSTHDR(&header);
    c->cmsg_level = SOL_SOCKET;
    c->cmsg_type = SCM_RIGHTS;
    c->cmsg_len = CMSG_LEN(fds.size_bytes());
    memcpy(CMSG_DATA(c), fds.data(), fds.size_bytes());
  }
  return sendmsg(to.get(), &header, MSG_NOSIGNAL | MSG_DONTWAIT) ==
         static_cast<ssize_t>(sizeof message);
}

/// False for what is no message of ours, and at the end of the connection.
template <class Message>
bool receive_message(const Fd& from, Message& message, std::vector<Fd>& fds) {
  iovec data{&message, sizeof message};
  alignas(cmsghdr) char control[CMSG_SPACE(kMostFds * sizeof(int))] = {};
  msghdr header{};
  header.msg_iov = &data;
  header.msg_iovlen = 1;
  header.msg_control = control;
  header.msg_controllen = sizeof control;
  const ssize_t got = recvmsg(from.get(), &header, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
  for (cmsghdr* c = got < 0 ? nullptr : CMSG_FIRSTHDR(&header); c != nullptr;
       c = CMSG_NXTHDR(&header, c)) {
    if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS) continue;
    for (size_t i = 0; i < (c->cmsg_len - CMSG_LEN(0)) / sizeof(int); ++i) {
      int fd;
      memcpy(&fd, CMSG_DATA(c) + i * sizeof(int), sizeof fd);
      fds.emplace_back(fd);
    }
  }
  return got == static_cast<ssize_t>(sizeof message) && message.magic == kMagic;
}

bool is_own_user(const Fd& peer) {
  ucred who{};
  socklen_t bytes = sizeof who;
  return getsockopt(peer.get(), SOL_SOCKET, SO_PEERCRED, &who, &bytes) == 0 && who.uid == geteuid();
}

int wait_ms(int64_t until_ns) {
  return static_cast<int>(
      std::clamp<int64_t>((until_ns - now_ns()) / 1'000'000 + 1, 0, kLookNs / 1'000'000));
}

/// What rank 0 knows while the others come.
class Host {
 public:
  explicit Host(const Arrival& arrival) : arrival_(arrival) {
    came_.resize(static_cast<size_t>(arrival.layout.size));
    processes_.resize(came_.size());
    came_[0] = true;
    processes_[0] = own_process();
  }

  Membership gather(const Fd& listener) {
    const int64_t until = now_ns() + static_cast<int64_t>(arrival_.timeout_s * 1e9);
    while (!failed_ && std::count(came_.begin(), came_.end(), false) > 0) {
      if (now_ns() >= until) refuse(Errc::timeout, missing_text(arrival_, came_));
      look(listener, wait_ms(until));
      if (arrival_.look_about) arrival_.look_about();
    }
    return answer();
  }

 private:
  struct Guest {
    Fd socket;
    int rank = -1;  // until it has said who it is
  };

  void look(const Fd& listener, int ms) {
    std::vector<pollfd> polls{{listener.get(), POLLIN, 0}};
    for (const Guest& guest : guests_) polls.push_back({guest.socket.get(), POLLIN, 0});
    if (poll(polls.data(), polls.size(), ms) <= 0) return;
    for (size_t i = guests_.size(); i-- > 0;)
      if (polls[i + 1].revents != 0) hear(i);
    if (polls[0].revents == 0) return;
    Fd socket(accept4(listener.get(), nullptr, nullptr, SOCK_CLOEXEC));
    if (socket.get() >= 0 && is_own_user(socket)) guests_.push_back({std::move(socket)});
  }

  void hear(size_t i) {
    Guest& guest = guests_[i];
    Hello hello;
    std::vector<Fd> fds;
    if (guest.rank >= 0) return refuse(Errc::comm, gone_text(arrival_, guest.rank));
    if (!receive_message(guest.socket, hello, fds) || fds.size() != 1) {
      guests_.erase(guests_.begin() + static_cast<std::ptrdiff_t>(i));
      return;
    }
    guest.rank = hello.rank;
    Arrival guest_arrival{arrival_.name, hello.rank, hello.layout};
    if (hello.layout != arrival_.layout)
      return refuse(Errc::invalid_argument, size_text(guest_arrival, arrival_.layout));
    const auto r = static_cast<size_t>(hello.rank);
    guest_arrival.outer_ranks = arrival_.outer_ranks;
    if (r >= came_.size() || came_[r])
      return refuse(Errc::invalid_argument, twice_text(guest_arrival));
    came_[r] = true;
    processes_[r] = std::move(fds[0]);
  }

  void refuse(Errc code, const std::string& text) {
    if (failed_) return;
    failed_ = true;
    code_ = code;
    text_ = text;
  }

  Membership answer() {
    Reply reply;
    Fd memory;
    std::vector<int> fds;
    Membership m;
    if (failed_) {
      reply.failed = 1;
      reply.code = static_cast<int32_t>(code_);
      text_.copy(reply.text, sizeof reply.text - 1);
    } else {
      memory = Segment::create(arrival_.layout);
      m.segment = Segment::map(memory, arrival_.layout);
      fds.push_back(memory.get());
      for (const Fd& process : processes_) fds.push_back(process.get());
    }
    for (const Guest& guest : guests_)
      if (guest.rank >= 0) send_message(guest.socket, reply, fds);
    if (failed_) fail(code_, text_);
    m.name = arrival_.name;
    m.processes = std::move(processes_);
    return m;
  }

  const Arrival& arrival_;
  std::vector<bool> came_;
  std::vector<Fd> processes_;
  std::vector<Guest> guests_;
  bool failed_ = false;
  Errc code_ = Errc::internal;
  std::string text_;
};

class HostMeeting : public Rendezvous {
 public:
  Membership join(const Arrival& arrival) override {
    const Address address(arrival.name);
    const int64_t until = now_ns() + static_cast<int64_t>(arrival.timeout_s * 1e9);
    for (;;) {
      Fd socket = new_socket();
      if (arrival.rank == 0 && bind(socket.get(), address.get(), address.bytes) == 0) {
        require(listen(socket.get(), kMostRanks) == 0, Errc::io,
                "cannot listen: ", strerror(errno));
        return Host(arrival).gather(socket);
      }
      // Somebody else may be rank 0: it will say so.
      if (connect(socket.get(), address.get(), address.bytes) == 0)
        return ask(socket, arrival, until + kGraceNs);
      if (now_ns() >= until) break;
      if (arrival.look_about) arrival.look_about();
      const timespec pause{0, kRetryNs};
      nanosleep(&pause, nullptr);
    }
    std::vector<bool> came(static_cast<size_t>(arrival.layout.size), true);
    came[0] = false;
    fail(Errc::timeout, missing_text(arrival, came));
  }

 private:
  static Membership ask(const Fd& socket, const Arrival& arrival, int64_t until) {
    Hello hello;
    hello.rank = arrival.rank;
    hello.layout = arrival.layout;
    const Fd self = own_process();
    const int fd = self.get();
    Reply reply;
    std::vector<Fd> fds;
    pollfd answer{socket.get(), POLLIN, 0};
    require(is_own_user(socket), Errc::comm, "group '", arrival.name,
            "': rank 0 is another user's");
    bool ok = send_message(socket, hello, std::span(&fd, 1));
    while (ok && poll(&answer, 1, wait_ms(until)) == 0) {
      if (arrival.look_about) arrival.look_about();
      require(now_ns() < until, Errc::timeout, "group '", arrival.name, "': rank ",
              shown(arrival, 0), " does not answer");
    }
    ok = ok && receive_message(socket, reply, fds);
    if (!ok && arrival.look_about) arrival.look_about();
    require(ok, Errc::comm, gone_text(arrival, 0));
    if (reply.failed != 0) fail(static_cast<Errc>(reply.code), reply.text);
    const auto wanted = static_cast<size_t>(arrival.layout.size) + 1;
    require(fds.size() == wanted, Errc::comm, "group '", arrival.name, "': rank 0 gave ",
            fds.size(), " descriptors, ", wanted, " are wanted");
    Membership m;
    m.name = arrival.name;
    m.rank = arrival.rank;
    m.segment = Segment::map(fds[0], arrival.layout);
    m.processes.assign(std::make_move_iterator(fds.begin() + 1),
                       std::make_move_iterator(fds.end()));
    return m;
  }
};

}  // namespace

std::shared_ptr<Rendezvous> meet_on_host() { return std::make_shared<HostMeeting>(); }

}  // namespace tutti::comm
