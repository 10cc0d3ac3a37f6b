using System.Globalization;

using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Http.Features;

namespace Ancm.Server;

/// <summary>The variables that classic IIS code asks for, derived from the request.</summary>
internal static class ServerVariables
{
    private const string HeaderPrefix = "HTTP_";

    internal static string? Get(HostContext context, IHeaderDictionary headers, string name)
    {
        var request = (IHttpRequestFeature)context;
        var connection = (IHttpConnectionFeature)context;
        switch (name.ToUpperInvariant())
        {
            case "REQUEST_METHOD": return request.Method;
            case "QUERY_STRING": return request.QueryString.Length > 0 ? request.QueryString[1..] : string.Empty;
            case "SERVER_PROTOCOL": return request.Protocol;
            case "UNENCODED_URL": return request.RawTarget;
            case "URL" or "PATH_INFO": return request.PathBase + request.Path;
            case "HTTPS": return request.Scheme == "https" ? "on" : "off";
            case "SERVER_NAME": return new HostString(headers.Host.ToString()).Host;
            case "SERVER_PORT": return Number(connection.LocalPort);
            case "LOCAL_ADDR": return connection.LocalIpAddress?.ToString();
            case "REMOTE_ADDR" or "REMOTE_HOST": return connection.RemoteIpAddress?.ToString();
            case "REMOTE_PORT": return Number(connection.RemotePort);
            case "WEBSOCKET_VERSION": return context.Settings.WebSockets ? "13" : null;
            default: return FromHeader(headers, name);
        }
    }

    private static string? FromHeader(IHeaderDictionary headers, string name)
    {
        if (!name.StartsWith(HeaderPrefix, System.StringComparison.OrdinalIgnoreCase))
        {
            return null;
        }

        return headers.TryGetValue(name[HeaderPrefix.Length..].Replace('_', '-'), out var value) ? value.ToString() : null;
    }

    private static string Number(int value) => value.ToString(CultureInfo.InvariantCulture);
}
