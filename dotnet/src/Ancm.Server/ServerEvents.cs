using System.Diagnostics.Tracing;

namespace Ancm.Server;

/// <summary>
/// What becomes of single requests, for tools that listen to a running process (<c>dotnet-trace
/// --providers Ancm-Server</c>). Costs one comparison per request while nobody listens.
/// </summary>
[EventSource(Name = "Ancm-Server")]
internal sealed class ServerEvents : EventSource
{
    internal static readonly ServerEvents Log = new();

    private ServerEvents()
    {
    }

    /// <summary>A request is handed to the application.</summary>
    [Event(1, Level = EventLevel.Informational)]
    public void RequestStart(string connectionId, string requestId, string method, string target)
        => WriteEvent(1, connectionId, requestId, method, target);

    /// <summary>
    /// The request is over. The outcome is <c>continue</c>, or <c>finish</c> when the application has
    /// failed: the words of the module.
    /// </summary>
    [Event(2, Level = EventLevel.Informational)]
    public void RequestStop(string requestId, int status, string outcome)
        => WriteEvent(2, requestId, status, outcome);

    /// <summary>The client has gone, or the application has given up.</summary>
    [Event(3, Level = EventLevel.Informational)]
    public void RequestAborted(string requestId, string by) => WriteEvent(3, requestId, by);

    /// <summary>The application has let an exception out.</summary>
    [Event(4, Level = EventLevel.Error)]
    public void RequestFailed(string requestId, string exception) => WriteEvent(4, requestId, exception);
}
