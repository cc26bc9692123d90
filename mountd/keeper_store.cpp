#include "mountd/keeper_store.h"

#include <utility>

#include "mountd/json_line.h"
#include "mountd/service_manager.h"

namespace firn {
namespace {

// The one that the manager has. A keeper that has exec'd itself wrote another one for that.
StateFile InheritOrMakeState(Inheritance& inheritance) {
  FileDescriptor inherited =
      inheritance.Take(inheritance.IsOwn() ? KeeperStore::kOwnName : Inheritance::kStateName);
  return inherited.valid() ? StateFile(std::move(inherited)) : StateFile();
}

// Where the keeper has exec'd itself the manager goes on with the names that it told.
std::set<std::string> NamesAtManager(const Inheritance& inheritance) {
  const auto& document = inheritance.document();
  if (const auto given = document.find("given"); given != document.end()) {
    return given->get<std::set<std::string>>();
  }
  return {inheritance.names().begin(), inheritance.names().end()};
}

}  // namespace

KeeperStore::KeeperStore(Inheritance& inheritance)
    : is_kept_(MayManagerKeepDescriptors()), state_(InheritOrMakeState(inheritance)) {
  if (!is_kept_) return;
  for (const std::string& name : NamesAtManager(inheritance)) {
    if (name == Inheritance::kStateName || inheritance.Has(name)) {
      given_.insert(name);
    } else {
      TakeManagerDescriptor(name);
    }
  }
}

void KeeperStore::AddTo(Estate& estate) const {
  estate.document["given"] = given_;
  estate.descriptors[kOwnName] = state_.fd();
}

void KeeperStore::Keep(const Estate& estate) {
  if (!is_kept_) return;
  const auto give = [this](const std::string& name, int fd) {
    if (given_.insert(name).second) GiveManagerDescriptor(name, fd);
  };
  give(Inheritance::kStateName, state_.fd());
  // What the document names is there before it, and goes after it.
  for (const auto& [name, fd] : estate.descriptors) give(name, fd);
  if (std::string text = JsonLine(estate.document); text != text_) {
    state_.Write(text);
    text_ = std::move(text);
  }
  std::erase_if(given_, [&](const std::string& name) {
    if (name == Inheritance::kStateName || estate.descriptors.contains(name)) return false;
    TakeManagerDescriptor(name);
    return true;
  });
}

void KeeperStore::Settle() const {
  if (is_kept_) AwaitManager();
}

void KeeperStore::Forget() {
  for (const std::string& name : given_) TakeManagerDescriptor(name);
  given_.clear();
}

}  // namespace firn
