// SPDX-License-Identifier: Apache-2.0
#include "comm/tcp/greeting.h"

#include <errno.h>
#include <poll.h>
#include <sys/socket.h>

namespace tutti::comm {

template <class Message>
ssize_t Incoming<Message>::receive_some(const Fd& socket, char* to, size_t most) {
  for (;;) {
    const ssize_t got = recv(socket.get(), to, most, MSG_DONTWAIT);
    if (got > 0) return got;
    if (got < 0 && errno == EAGAIN) return 0;
    if (got == 0 || errno != EINTR) return -1;
  }
}

template class Incoming<Hello>;
template class Incoming<Welcome>;
template class Incoming<Acknowledgement>;

Door::Door(const std::string& address, std::string secret)
    : listener_(listen_on(address, 0)), secret_(std::move(secret)) {}

int Door::port() const { return port_of(listener_); }

void Door::wait(int ms, const std::vector<int>& beside) const {
  std::vector<pollfd> polls{{listener_.get(), POLLIN, 0}};
  for (const Stranger& stranger : strangers_) polls.push_back({stranger.socket.get(), POLLIN, 0});
  for (int socket : beside) polls.push_back({socket, POLLIN, 0});
  poll(polls.data(), polls.size(), ms);
}

std::optional<Door::Guest> Door::next() {
  for (;;) {
    Fd socket = accept_from(listener_);
    if (socket.get() < 0) break;
    if (strangers_.size() == kMostStrangers) strangers_.erase(strangers_.begin());
    strangers_.emplace_back().socket = std::move(socket);
  }
  for (size_t i = strangers_.size(); i-- > 0;) {
    Stranger& stranger = strangers_[i];
    bool goes = !stranger.hello.read(stranger.socket) || stranger.deadline.passed();
    std::optional<Guest> guest;
    if (stranger.hello.is_complete()) {
      const Hello& hello = stranger.hello.message();
      if (stranger.hello.is_proved(secret_, "guest", {hello.nonce, sizeof hello.nonce}))
        guest = Guest{std::move(stranger.socket), hello};
      goes = true;
    }
    if (goes) strangers_.erase(strangers_.begin() + static_cast<std::ptrdiff_t>(i));
    if (guest) return guest;
  }
  return std::nullopt;
}

}  // namespace tutti::comm
