-- wrk calls this at its end. It prints the exact figures as one line of JSON.
function done(summary, latency)
   local e = summary.errors
   io.write(string.format(
      '{"requests": %d, "microseconds": %d, "bytes": %d, "p99_microseconds": %d, ' ..
      '"errors": {"connect": %d, "read": %d, "write": %d, "status": %d, "timeout": %d}}\n',
      summary.requests, summary.duration, summary.bytes, latency:percentile(99),
      e.connect, e.read, e.write, e.status, e.timeout))
end
