using System.Collections.Concurrent;
using System.Diagnostics.Tracing;

namespace Site;

/// <summary>What the server tells tools that listen to this process.</summary>
internal static class Traces
{
    private static Listener? s_listener;

    public static Task StartTrace(HttpContext context)
    {
        s_listener ??= new Listener();
        return Task.CompletedTask;
    }

    /// <summary>The events of requests for a target, one a line.</summary>
    public static Task Trace(HttpContext context)
        => context.Response.WriteAsync(string.Join('\n', s_listener!.Of(context.Request.Query["of"].ToString())));

    private sealed class Listener : EventListener
    {
        private readonly ConcurrentQueue<(string Name, string Request, string Words)> _events = new();

        internal IEnumerable<string> Of(string target)
        {
            var requests = _events
                .Where(it => it.Name == "RequestStart" && it.Words.EndsWith($" {target}", StringComparison.Ordinal))
                .Select(it => it.Request)
                .ToHashSet();
            return _events.Where(it => requests.Contains(it.Request)).Select(it => $"{it.Name} {it.Words}");
        }

        protected override void OnEventSourceCreated(EventSource eventSource)
        {
            if (eventSource.Name == "Ancm-Server")
            {
                EnableEvents(eventSource, EventLevel.Informational);
            }
        }

        protected override void OnEventWritten(EventWrittenEventArgs eventData)
        {
            var payload = eventData.Payload!.Select(value => value!.ToString()!).ToList();
            // The first one is the connection's, where there are two.
            var request = eventData.EventName == "RequestStart" ? 1 : 0;
            _events.Enqueue((eventData.EventName!, payload[request], string.Join(' ', payload.Skip(request + 1))));
        }
    }
}
