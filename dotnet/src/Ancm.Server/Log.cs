using System;

using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;

namespace Ancm.Server;

/// <summary>Every message of the server. Kestrel's ids where it has the same message.</summary>
internal static class Log
{
    private static readonly Action<ILogger, string, string, Exception?> s_applicationError =
        LoggerMessage.Define<string, string>(
            LogLevel.Error,
            new EventId(13, "ApplicationError"),
            "Connection id \"{ConnectionId}\", Request id \"{TraceIdentifier}\": An unhandled exception was thrown by the application.");

    private static readonly Action<ILogger, string, Exception?> s_connectionDisconnect =
        LoggerMessage.Define<string>(
            LogLevel.Debug,
            new EventId(1, "ConnectionDisconnect"),
            "Request id \"{TraceIdentifier}\": the client has gone.");

    private static readonly Action<ILogger, string, Exception?> s_applicationAbort =
        LoggerMessage.Define<string>(
            LogLevel.Debug,
            new EventId(52, "ApplicationAbort"),
            "Request id \"{TraceIdentifier}\": The connection was aborted by the application.");

    private static readonly Action<ILogger, string, Exception?> s_requestAborted =
        LoggerMessage.Define<string>(
            LogLevel.Debug,
            new EventId(14, "RequestAborted"),
            "Request id \"{TraceIdentifier}\": The request was aborted by the client.");

    private static readonly Action<ILogger, string, string, Exception?> s_badRequest =
        LoggerMessage.Define<string, string>(
            LogLevel.Debug,
            new EventId(17, "ConnectionBadRequest"),
            "Request id \"{TraceIdentifier}\" bad request data: \"{Message}\"");

    private static readonly Action<ILogger, string, long?, long, Exception?> s_bodyLimitBeyondHost =
        LoggerMessage.Define<string, long?, long>(
            LogLevel.Warning,
            new EventId(51, "BodyLimitBeyondHost"),
            "Request id \"{TraceIdentifier}\": a body of up to {Limit} bytes is allowed (none: any), but maxAllowedContentLength in web.config refuses what is larger than {HostLimit} bytes.");

    private static readonly Action<ILogger, string, Exception?> s_invalidCertificate =
        LoggerMessage.Define<string>(
            LogLevel.Warning,
            new EventId(53, "InvalidCertificate"),
            "Request id \"{TraceIdentifier}\": the client's certificate, as a proxy tells it, cannot be read.");

    private static readonly Action<ILogger, string, string, Exception?> s_hostMessage =
        LoggerMessage.Define<string, string>(LogLevel.Error, new EventId(50, "ServerError"), "{Where}: {Message}");

    // As the framework's console lifetime has them, to the letter.
    private static readonly Action<ILogger, Exception?> s_started =
        LoggerMessage.Define(LogLevel.Information, 0, "Application started. Press Ctrl+C to shut down.");

    private static readonly Action<ILogger, string, Exception?> s_environment =
        LoggerMessage.Define<string>(LogLevel.Information, 0, "Hosting environment: {EnvName}");

    private static readonly Action<ILogger, string, Exception?> s_contentRoot =
        LoggerMessage.Define<string>(LogLevel.Information, 0, "Content root path: {ContentRoot}");

    private static readonly Action<ILogger, Exception?> s_stopping =
        LoggerMessage.Define(LogLevel.Information, 0, "Application is shutting down...");

    internal static void Started(ILogger logger, IHostEnvironment environment)
    {
        s_started(logger, null);
        s_environment(logger, environment.EnvironmentName, null);
        s_contentRoot(logger, environment.ContentRootPath, null);
    }

    internal static void Stopping(ILogger logger) => s_stopping(logger, null);

    internal static void ApplicationError(ILogger logger, string connectionId, string traceIdentifier, Exception error)
        => s_applicationError(logger, connectionId, traceIdentifier, error);

    internal static void ConnectionDisconnect(ILogger logger, string traceIdentifier)
        => s_connectionDisconnect(logger, traceIdentifier, null);

    internal static void ApplicationAbort(ILogger logger, string traceIdentifier)
        => s_applicationAbort(logger, traceIdentifier, null);

    internal static void RequestAborted(ILogger logger, string traceIdentifier, Exception error)
        => s_requestAborted(logger, traceIdentifier, error);

    internal static void BadRequest(ILogger logger, string traceIdentifier, Exception error)
        => s_badRequest(logger, traceIdentifier, error.Message, error);

    internal static void BodyLimitBeyondHost(ILogger logger, string traceIdentifier, long? limit, long host)
        => s_bodyLimitBeyondHost(logger, traceIdentifier, limit, host, null);

    internal static void InvalidCertificate(ILogger logger, string traceIdentifier, Exception error)
        => s_invalidCertificate(logger, traceIdentifier, error);

    internal static void ServerError(ILogger logger, string where, Exception error)
        => s_hostMessage(logger, where, error.Message, error);
}
