// Target, headers, variables and features of a request.

using System.Globalization;
using System.Net;
using System.Text;

using Microsoft.AspNetCore.Http.Extensions;
using Microsoft.AspNetCore.Http.Features;

namespace Site;

internal static class Requests
{
    public static Task Path(HttpContext context)
        => context.Response.WriteAsync(context.Request.Path.Value ?? "");

    public static Task Query(HttpContext context)
        => context.Response.WriteAsync(context.Request.QueryString.Value ?? "");

    public static Task PathAndPathBase(HttpContext context)
        => context.Response.WriteAsync(
            $"PathBase: {context.Request.PathBase.Value}; Path: {context.Request.Path.Value}");

    public static Task RawTarget(HttpContext context)
        => context.Response.WriteAsync(
            context.Features.GetRequiredFeature<IHttpRequestFeature>().RawTarget);

    public static Task Method(HttpContext context) => context.Response.WriteAsync(context.Request.Method);

    public static Task Header(HttpContext context)
    {
        context.Response.ContentType = "text/plain; charset=utf-8";
        return context.Response.WriteAsync(
            context.Request.Headers[context.Request.Query["name"].ToString()].ToString());
    }

    public static Task Headers(HttpContext context)
    {
        var lines = context.Request.Headers.Select(header => $"{header.Key}: {header.Value}\n");
        return context.Response.WriteAsync(string.Concat(lines));
    }

    public static Task MissingHeaders(HttpContext context)
    {
        var missing = context.Request.Headers["X-Not-There"];
        return context.Response.WriteAsync(
            $"{missing.Count} '{missing}' {context.Request.Headers.ContainsKey("X-Not-There")} "
            + $"{context.Request.Headers.UserAgent.Count}");
    }

    public static Task ServerVariable(HttpContext context)
    {
        var name = context.Request.Query["q"].ToString();
        if (context.Request.Query.TryGetValue("v", out var value))
        {
            context.Features.GetRequiredFeature<IServerVariablesFeature>()[name] = value.ToString();
        }

        return context.Response.WriteAsync(context.GetServerVariable(name) ?? "(null)");
    }

    public static async Task GetServerVariableStress(HttpContext context)
    {
        for (var round = 0; round < 200; round++)
        {
            await context.Response.WriteAsync(context.GetServerVariable("REQUEST_METHOD") ?? "(null)");
            await context.Response.Body.FlushAsync();
        }
    }

    public static Task SetRequestFeature(HttpContext context)
    {
        var feature = context.Features.GetRequiredFeature<IHttpRequestFeature>();
        feature.Method = "test";
        feature.PathBase = "/base";
        feature.Path = "/path";
        feature.Protocol = "http";
        feature.QueryString = "?q";
        feature.Scheme = "https";
        feature.RawTarget = "/raw";
        feature.Headers = new HeaderDictionary { ["X-Custom"] = "1" };
        feature.Body = new MemoryStream(Encoding.ASCII.GetBytes("body"));
        using var reader = new StreamReader(context.Request.Body);
        var body = reader.ReadToEndAsync().GetAwaiter().GetResult();
        var request = context.Request;
        return context.Response.WriteAsync(
            $"{request.Method} {request.PathBase} {request.Path} {request.Protocol} {request.QueryString} "
            + $"{request.Scheme} {feature.RawTarget} {request.Headers["X-Custom"]} {body}");
    }

    public static Task SetResponseFeature(HttpContext context)
    {
        var feature = context.Features.GetRequiredFeature<IHttpResponseFeature>();
        feature.StatusCode = 218;
        feature.ReasonPhrase = "Custom Reason";
        feature.Headers = new HeaderDictionary { ["X-Custom"] = "1" };
        return context.Response.WriteAsync(
            $"{context.Response.StatusCode} {feature.ReasonPhrase} {context.Response.Headers["X-Custom"]} "
            + $"{feature.HasStarted}");
    }

    public static Task SetConnectionFeature(HttpContext context)
    {
        var feature = context.Features.GetRequiredFeature<IHttpConnectionFeature>();
        feature.ConnectionId = "custom";
        feature.LocalIpAddress = IPAddress.IPv6Loopback;
        feature.LocalPort = 1;
        feature.RemoteIpAddress = IPAddress.Parse("10.0.0.1");
        feature.RemotePort = 2;
        var connection = context.Connection;
        return context.Response.WriteAsync(string.Create(
            CultureInfo.InvariantCulture,
            $"{connection.Id} {connection.LocalIpAddress} {connection.LocalPort} "
            + $"{connection.RemoteIpAddress} {connection.RemotePort}"));
    }

    public static Task DisplayUrl(HttpContext context)
        => context.Response.WriteAsync(context.Request.GetDisplayUrl());
}
