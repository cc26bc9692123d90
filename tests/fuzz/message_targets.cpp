// The targets that read what other processes say: clients of a node's firnd, workers, other users'
// firnds.

#include <sys/socket.h>

#include <nlohmann/json.hpp>
#include <span>
#include <stdexcept>
#include <string>
#include <utility>

#include "format/json_input.h"
#include "mountd/carried_error.h"
#include "mountd/line_buffer.h"
#include "mountd/readiness.h"
#include "mountd/session_status.h"
#include "mountd/view_request.h"
#include "mountd/worker_channel.h"
#include "tests/fuzz/fuzz_target.h"

namespace firn::fuzz {
namespace {

// Copying and printing it is what a deep one does harm by.
void Handle(const nlohmann::json& message) {
  const nlohmann::json copy = message;
  if (copy != message) throw std::logic_error("a message is not its copy");
  const std::string text = copy.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
  if (ParseJsonMessage(text).is_discarded()) throw std::logic_error("a message is not read again");
}

// Over the very socket, as the keeper of a node gets it.
class NodeTarget final : public FuzzTarget {
 public:
  void Run(ByteSpan input) const override {
    if (input.empty()) return;
    auto [ours, theirs] = WorkerChannel::MakeSockets();
    WorkerChannel channel(std::move(theirs));
    if (send(ours.get(), input.data(), input.size(), MSG_DONTWAIT) < 0) return;
    const auto message = channel.Receive();
    if (!message) return;
    Handle(message->body);
    try {
      if (message->body.contains("error")) ErrorFromJson(message->body["error"]);
      ViewRequestFrom(message->body);
    } catch (const nlohmann::json::exception&) {  // told to the client
    }
  }

  std::vector<Seed> Seeds() const override {
    return TextSeeds(
        {R"({"op":"attach","path":"/a.firn","foreign":false,"prefetch":true,"view":true,)"
         R"("place":false,"owner":1001,"lease":"name","name":"job-1","signatures":["4649524e"],)"
         R"("signature_damage":"","below":[{"path":"/b","owner":0,"signatures":[]}]})",
         R"({"op":"placed","mount_id":5})", R"({"op":"detach","lease":"job-1"})",
         R"({"op":"status"})",
         R"({"error":{"kind":5,"message":"m","path":"p","offset":1,"remedy":"r"}})"});
  }
};

// Lines of a session's control socket, in pieces.
class LinesTarget final : public FuzzTarget {
 public:
  void Run(ByteSpan input) const override {
    constexpr size_t kLimit = 256;
    LineBuffer lines(kLimit);
    std::string_view text = AsText(input);
    while (!text.empty() && !lines.overlong()) {
      const size_t piece = std::min<size_t>(text.size(), 1 + text.size() / 3);
      lines.Append(text.substr(0, piece));
      text.remove_prefix(piece);
      while (const auto line = lines.NextLine()) {
        const nlohmann::json message = ParseJsonMessage(*line);
        if (!message.is_discarded()) Handle(message);
      }
    }
  }

  std::vector<Seed> Seeds() const override {
    return TextSeeds({"{\"op\":\"status\"}\n{\"op\":\"set_log_level\",\"level\":\"debug\"}\n"});
  }
};

// What firn reads of firnds.
class AnswerTarget final : public FuzzTarget {
 public:
  void Run(ByteSpan input) const override {
    const std::string_view text = AsText(input);
    const nlohmann::json object = ParseJsonMessage(text);
    if (!object.is_object()) return;
    try {
      ParseReadiness(text);
    } catch (const Error&) {  // it may be the other kind
    }
    const SessionStatus status = SessionStatusFrom(object);
    Handle(ToJson(status));
  }

  std::vector<Seed> Seeds() const override {
    return TextSeeds({ToJson(SessionStatus()).dump(),
                      R"({"ready":true,"pid":1,"view":"overlay","control":"/s"})",
                      R"({"error":{"kind":5,"message":"m","path":"p","offset":1,"remedy":"r"}})"});
  }
};

const NodeTarget kNodeTarget;
const LinesTarget kLinesTarget;
const AnswerTarget kAnswerTarget;

}  // namespace

std::span<const NamedTarget> MessageTargets() {
  static const NamedTarget kTargets[] = {
      {"control", &kNodeTarget}, {"control_lines", &kLinesTarget}, {"answers", &kAnswerTarget}};
  return kTargets;
}

}  // namespace firn::fuzz
