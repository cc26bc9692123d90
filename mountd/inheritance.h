#ifndef FIRN_MOUNTD_INHERITANCE_H_
#define FIRN_MOUNTD_INHERITANCE_H_

#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "format/file.h"
#include "mountd/trust_domain.h"

namespace firn {

// What a keeper leaves to the next one: a document, and descriptors by name, which stay the
// keeper's.
struct Estate {
  // With the versions that Inheritance checks.
  Estate();

  nlohmann::json document;
  std::map<std::string, int> descriptors;
};

// A descriptor's name: of letters, digits and '-', as a service manager takes it.
std::string EstateName(const std::string& kind, uint64_t number);
std::string EstateName(const std::string& kind, const TrustDomain& domain);

// What the keeper before this one left: in the service manager's store, or by exec of itself. To be
// used by one thread.
class Inheritance {
 public:
  // Among the descriptors that a service manager passes.
  static constexpr char kStateName[] = "state";
  // The variable with the number of the state's descriptor, where a keeper has exec'd itself: its
  // document then holds the numbers of the others.
  static constexpr char kStateVariable[] = "FIRND_STATE_FD";

  // What came with the start of this process; the variables that tell of it are removed from the
  // environment, and the descriptors close at exec. Only while there is one thread.
  static Inheritance Receive();
  // A document to look at, of whoever thinks of leaving it.
  explicit Inheritance(FileDescriptor state);
  Inheritance() = default;

  // Of the document; null where nothing was left.
  const nlohmann::json& document() const { return document_; }
  // Left by this very process, which has exec'd.
  bool IsOwn() const { return has_execd_; }
  // Throws kSystem where this firnd cannot go on with the document: it is another version's.
  void Check() const;
  // Goes without the document and the descriptors, but those that have such names.
  void Refuse(const std::vector<std::string>& kept);

  bool Has(const std::string& name) const { return descriptors_.contains(name); }
  // Each once; invalid where there is none.
  FileDescriptor Take(const std::string& name);
  // Throws kSystem where there is none.
  FileDescriptor Require(const std::string& name);
  // Of what was passed at first, also of what was taken since.
  const std::vector<std::string>& names() const { return names_; }
  std::vector<int> numbers() const;

 private:
  void Add(const std::string& name, int fd);
  void ReadDocument();

  nlohmann::json document_;
  bool has_execd_ = false;
  std::map<std::string, FileDescriptor> descriptors_;
  std::vector<std::string> names_;
};

}  // namespace firn

#endif  // FIRN_MOUNTD_INHERITANCE_H_
