// Who can solve a problem (a provider), and a problem made ready to be solved again and again (a
// runner).
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "bench/problem.h"
#include "engine/device.h"
#include "engine/tensor.h"

namespace etude::bench {

// The numbers of a problem's inputs, on the host, NHWC and KRSC.
using Inputs = std::vector<std::vector<float>>;
// Normal numbers, the same every time.
Tensor random_tensor(Shape shape);
Inputs make_inputs(const Problem& problem);
// The leading block of each, for reduced(problem).
Inputs reduce_inputs(const Problem& whole, const Problem& part, const Inputs& inputs);
std::vector<float> leading_block(const Operand& whole, const Operand& part,
                                 const std::vector<float>& values);

// Seconds, a call each.
struct Times {
  std::vector<double> wall;
  std::vector<double> processor;  // of all threads; not of a GPU's calls
};

// A problem in several sets of buffers with the same numbers: calls that go through all of the sets
// find nothing of their own in the caches.
class Runner {
 public:
  virtual ~Runner() = default;
  virtual void call(int set) = 0;
  virtual std::vector<float> output(int set) = 0;  // NHWC, KRSC; empty: nothing to compare
  virtual void spoil(int) {}                       // fills the output with other numbers
  // Of some calls, the first on `set`: one by the clock, or on a GPU several by events, since a
  // single one is mostly gaps.
  virtual Times time(int set, int sets);
  virtual Device device() const { return cpu_device; }
  std::size_t workspace = 0;  // bytes beside inputs and outputs
  double flops = 0;           // of a call, where the problem does not say (whole models)
  std::string note;           // what was chosen
};

struct Provider {
  std::string name;     // "etude:cpu", "onednn"
  std::string version;  // for the record
  bool gpu = false;
  std::function<bool(const Problem&)> has;
  std::function<std::unique_ptr<Runner>(const Problem&, const Inputs&, int sets)> make;
};

// What is in this build and can run here. A line for each that is not goes to `skipped`.
std::vector<Provider> providers(std::vector<std::string>& skipped);

// ---- for the providers' files -----------------------------------------------------------------

// Solves a problem on the tensors of one set: the inputs, the output, then `extra`.
struct Kernel {
  std::vector<std::pair<Shape, DType>> extra;               // e.g. what backward reads
  std::function<void(const std::vector<Tensor>&)> prepare;  // of `extra`, once a set
  std::function<void(const std::vector<Tensor>&)> run;
  std::function<void(const std::vector<Tensor>&)> finish;  // untimed, before the output is read
  std::size_t workspace = 0;
  std::string note;
  bool nchw = false;  // it wants NCHW and KCRS
};
std::unique_ptr<Runner> make_runner(const Problem& problem, const Inputs& inputs, int sets,
                                    Device device, Kernel kernel);

std::unique_ptr<Runner> make_etude_runner(const Problem&, const Inputs&, int sets, Device);
std::unique_ptr<Runner> make_workload(const Problem&, Device);  // whole pieces of work
void add_onednn(std::vector<Provider>& list, std::vector<std::string>& skipped);
void add_fftw(std::vector<Provider>& list, std::vector<std::string>& skipped);
void add_openblas(std::vector<Provider>& list, std::vector<std::string>& skipped);
void add_vendor(std::vector<Provider>& list, std::vector<std::string>& skipped);

}  // namespace etude::bench
