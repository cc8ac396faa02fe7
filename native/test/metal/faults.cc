#include "harness.h"
namespace metaltest { void faults() {} }
